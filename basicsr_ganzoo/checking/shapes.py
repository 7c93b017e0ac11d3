"""Sizes: what the generator makes of a crop, and whether the discriminator takes it; computed without numbers."""

import torch
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo._options import OptionError, build
from basicsr_ganzoo.checking import error, get, is_wrong
from basicsr_ganzoo.checking.values import is_positive

MOST_PARAMETERS = 10**10
LARGEST = 1024  # pixels; of larger crops it is not tried what the network really makes
SCALE_KEYS = 'set scale (RRDBNet), upscale (MSRResNet, SRVGGNetCompact) or the like in network_g'


def check(opt, found):
    """Findings about the scale, gt_size and the networks, unless ``found`` has an error about these."""
    scale, gt_size = opt.get('scale', 1), _gt_size(opt)
    if not is_positive(scale):
        yield error('scale', f'this needs to be a whole number above 0, got {scale!r}')
        return
    if gt_size is not None:
        if not is_positive(gt_size):
            yield error(_key_of_gt_size(opt), f'this needs to be a whole number above 0, got {gt_size!r}')
            return
        if gt_size % scale:
            told = f'{gt_size!r} is no multiple of the scale {scale}; crops of lq would not fit'
            yield error(_key_of_gt_size(opt), told)
            return
        if not is_wrong(found, 'network_d'):
            yield from _discriminator(opt, gt_size)
    if not is_wrong(found, 'network_g'):
        yield from _generator(opt, scale, gt_size or 32 * scale)


def _gt_size(opt):
    """The side of the crops that the model trains on: Real-ESRGAN's files have it at the top, others in the dataset."""
    return get(opt, _key_of_gt_size(opt))


def _key_of_gt_size(opt):
    return 'gt_size' if 'gt_size' in opt else 'datasets.train.gt_size'


def _generator(opt, scale, gt_size):
    net, mistakes = _net(opt, 'network_g')
    yield from mistakes
    out = _output(net, opt, 'network_g', gt_size // scale) if net else None
    if isinstance(out, Exception):
        side = gt_size // scale
        yield error('network_g', f'it cannot take lq of {side}x{side} pixels, gt_size over scale{_reason(out)}')
    if isinstance(out, torch.Tensor) and out.shape[-1] != gt_size:
        factor = out.shape[-1] * scale / gt_size
        yield error('network_g', f'its scale is {factor:g}, but the scale of the option file is {scale}; {SCALE_KEYS}')


def _discriminator(opt, gt_size):
    net, mistakes = _net(opt, 'network_d')
    yield from mistakes
    out = _output(net, opt, 'network_d', gt_size) if net else None
    if isinstance(out, OptionError):
        yield error('network_d', f'{out}; that is gt_size')
    elif isinstance(out, Exception):
        yield error('network_d', f'it cannot take {gt_size}x{gt_size} pixels, which is gt_size{_reason(out)}')


def _reason(mistake):
    return f' ({" ".join(str(mistake).split())})' if str(mistake) else ''


def _net(opt, key):
    """The network without numbers, or None, and the findings about its block."""
    block = get(opt, key)
    if not isinstance(block, dict) or 'type' not in block:
        return None, []
    try:
        with torch.device('meta'):
            net = build(ARCH_REGISTRY, block, key).eval()
    except OptionError as mistake:
        return None, [error(key, mistake)]
    except RuntimeError:  # a network of somebody else's that cannot be built without numbers
        return None, []
    size = sum(parameter.numel() for parameter in net.parameters())
    if size > MOST_PARAMETERS:
        return None, [error(key, f'this network has {size:.0e} parameters, too many for any GPU; give smaller numbers')]
    return net, []


def _output(net, opt, key, size):
    """What the network makes of a square picture, why it makes nothing of it, or None where that cannot be told."""
    image = torch.empty(1, get(opt, key).get('num_in_ch', 3), size, size, device='meta')
    out = _attempt(net, image)
    if isinstance(out, Exception) and not isinstance(out, OptionError):
        # Some networks cannot run without numbers, whatever the size.
        out = (
            _attempt(build(ARCH_REGISTRY, get(opt, key), key).eval(), torch.zeros(image.shape))
            if size <= LARGEST
            else None
        )
    return out


@torch.no_grad()
def _attempt(net, image):
    try:
        return net(image)
    except (AssertionError, OptionError, RuntimeError, TypeError, ValueError) as mistake:
        return mistake
