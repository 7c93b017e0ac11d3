"""Sizes: what the generator makes of a crop, and whether the discriminator takes it; computed without numbers."""

import torch
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo._options import OptionError, build
from basicsr_ganzoo.checking import error, get

SCALE_KEYS = 'set scale (RRDBNet), upscale (MSRResNet, SRVGGNetCompact) or the like in network_g'


def check(opt):
    """Findings about the scale, gt_size and the networks."""
    scale, gt_size = opt.get('scale', 1), _gt_size(opt)
    if not is_positive(scale):
        yield error('scale', f'this needs to be a whole number above 0, got {scale!r}')
        return
    if gt_size is not None:
        if not is_positive(gt_size) or gt_size % scale:
            yield error('gt_size', f'{gt_size!r} is no multiple of the scale {scale}; crops of lq would not fit')
            return
        yield from _discriminator(opt, gt_size)
    yield from _generator(opt, scale, gt_size or 32 * scale)


def _gt_size(opt):
    """The side of the crops that the model trains on: Real-ESRGAN's files have it at the top, others in the dataset."""
    return opt.get('gt_size', get(opt, 'datasets.train.gt_size'))


def is_positive(value):
    """Whether ``value`` is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _generator(opt, scale, gt_size):
    net, mistakes = _net(opt, 'network_g')
    yield from mistakes
    out = _output(net, opt, 'network_g', gt_size // scale) if net else None
    if isinstance(out, torch.Tensor) and out.shape[-1] != gt_size:
        factor = out.shape[-1] * scale / gt_size
        yield error('network_g', f'its scale is {factor:g}, but the scale of the option file is {scale}; {SCALE_KEYS}')


def _discriminator(opt, gt_size):
    net, mistakes = _net(opt, 'network_d')
    yield from mistakes
    out = _output(net, opt, 'network_d', gt_size) if net else None
    if isinstance(out, OptionError):
        yield error('network_d', f'{out}; that is gt_size')


def _net(opt, key):
    """The network without numbers, or None, and the findings about its block."""
    block = get(opt, key)
    if not isinstance(block, dict) or 'type' not in block:
        return None, []
    try:
        with torch.device('meta'):
            return build(ARCH_REGISTRY, block, key).eval(), []
    except OptionError as mistake:
        return None, [error(key, mistake)]
    except RuntimeError:  # a network of somebody else's that cannot be built without numbers
        return None, []


def _output(net, opt, key, size):
    """What the network makes of a square picture, the user's mistake, or None where that cannot be told."""
    image = torch.empty(1, get(opt, key).get('num_in_ch', 3), size, size, device='meta')
    try:
        with torch.no_grad():
            return net(image)
    except OptionError as mistake:
        return mistake
    except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None
