"""Sizes: what the generator makes of a crop, and whether the discriminator takes it; computed without numbers."""

import torch
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo.adversarial.builder import freeze_first_layers
from basicsr_ganzoo.checking.findings import adversaries, error, get, is_wrong
from basicsr_ganzoo.checking.values import is_positive
from basicsr_ganzoo.config.build import build
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.logits import as_list
from basicsr_ganzoo.models.content_losses import further_losses

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
        for adversary in adversaries(opt):
            keys = ('network_d', 'views', 'd_reg_opt', 'net_d_freeze')
            if not any(is_wrong(found, adversary.where(key)) for key in keys):
                yield from _discriminator(opt, adversary, gt_size)
        yield from _windows(opt, gt_size // scale)
    if not is_wrong(found, 'network_g'):
        yield from _generator(opt, scale, gt_size or 32 * scale)


def _gt_size(opt):
    """The side of the crops that the model trains on: Real-ESRGAN's files have it at the top, others in the dataset."""
    return get(opt, _key_of_gt_size(opt))


def _key_of_gt_size(opt):
    return 'gt_size' if 'gt_size' in opt else 'datasets.train.gt_size'


def _windows(opt, side):
    for key in further_losses(get(opt, 'train', {})):
        window = get(opt, f'train.{key}.window')
        if get(opt, f'train.{key}.type') == 'LRConsistencyLoss' and is_positive(window) and window > side:
            told = f'{window} pixels do not fit into lq of {side}x{side}, gt_size over scale; give at most {side}'
            yield error(f'train.{key}.window', told)


def _generator(opt, scale, gt_size):
    net, mistakes = _net(opt, 'network_g')
    yield from mistakes
    lq = (1, get(opt, 'network_g.num_in_ch', 3), gt_size // scale, gt_size // scale)
    out = _output(net, opt, 'network_g', lq) if net else None
    if isinstance(out, Exception):
        side = gt_size // scale
        yield error('network_g', f'it cannot take lq of {side}x{side} pixels, gt_size over scale{_reason(out)}')
    if isinstance(out, torch.Tensor) and out.shape[-1] != gt_size:
        factor = out.shape[-1] * scale / gt_size
        yield error('network_g', f'its scale is {factor:g}, but the scale of the option file is {scale}; {SCALE_KEYS}')


def _discriminator(opt, adversary, gt_size):
    key = adversary.where('network_d')
    net, mistakes = _net(opt, key)
    yield from mistakes
    yield from _freezing(net, adversary) if net else ()
    try:
        shown = _seen(opt, adversary, gt_size)
    except OptionError as mistake:
        yield error(adversary.where('views'), mistake)
        return
    out = _output(net, opt, key, shown) if net else None
    behind = ' and what the views make of it' if adversary.get('views') else ''
    if isinstance(out, OptionError):
        yield error(key, f'{out}; that is gt_size{behind}')
    elif isinstance(out, Exception):
        yield error(key, f'it cannot take {gt_size}x{gt_size} pixels, which is gt_size{behind}{_reason(out)}')
    else:
        yield from _cutmix(adversary, out)


def _freezing(net, adversary):
    try:
        freeze_first_layers(net, adversary.get('net_d_freeze', 0))
    except ValueError as mistake:
        yield error(adversary.where('net_d_freeze'), mistake)


def _seen(opt, adversary, gt_size):
    """The shape of what D is shown of G's picture, behind its views."""
    device = 'meta' if gt_size > LARGEST else 'cpu'
    image = torch.zeros(1, get(opt, 'network_g.num_out_ch', 3), gt_size, gt_size, device=device)
    for block in adversary.get('views', []):
        (image,) = build(ARCH_REGISTRY, block, adversary.where('views'))(image)
    return image.shape


def _cutmix(adversary, logits):
    for name, block in adversary.get('d_reg_opt', {}).items():
        if block.get('type') == 'CutMixConsistency' and any(o.ndim < 4 for o in as_list(logits) if o is not None):
            told = 'CutMixConsistency needs a map of logits, such as that of a U-Net or a PatchGAN; remove it'
            yield error(f'{adversary.where("d_reg_opt")}.{name}', told)


def _reason(mistake):
    return f' ({" ".join(str(mistake).split())})' if str(mistake) else ''


def _net(opt, key):
    """The network at ``key`` without numbers, or None, and the findings about its block."""
    block = get(opt, key)
    if not isinstance(block, dict) or 'type' not in block:
        return None, []
    return network_without_numbers(block, key)


def network_without_numbers(block, key):
    """The network that ``block`` describes, on the meta device, or None, and the findings about it."""
    try:
        with torch.device('meta'):
            net = build(ARCH_REGISTRY, block, key).eval()
    except OptionError as mistake:
        return None, [error(key, mistake)]
    except (AttributeError, RuntimeError):  # a network of somebody else's may want numbers to be built
        return None, list(_building(block, key))
    size = sum(parameter.numel() for parameter in net.parameters())
    if size > MOST_PARAMETERS:
        return None, [error(key, f'this network has {size:.0e} parameters, too many for any GPU; give smaller numbers')]
    return net, []


def _building(block, key):
    try:
        build(ARCH_REGISTRY, block, key)
    except (AttributeError, RuntimeError) as mistake:
        yield error(key, f'{block["type"]} cannot be built with these arguments{_reason(mistake)}')


def _output(net, opt, key, shape):
    """What the network makes of a picture, why it makes nothing of it, or None where that cannot be told."""
    image = torch.empty(shape, device='meta')
    out = _attempt(net, image)
    if isinstance(out, Exception) and not isinstance(out, OptionError):
        # Some networks cannot run without numbers, whatever the size.
        out = (
            _attempt(build(ARCH_REGISTRY, get(opt, key), key).eval(), torch.zeros(image.shape))
            if max(shape) <= LARGEST
            else None
        )
    return out


@torch.no_grad()
def _attempt(net, image):
    try:
        return net(image)
    except (AssertionError, OptionError, RuntimeError, TypeError, ValueError) as mistake:
        return mistake
