"""Sizes: what the generator makes of a crop, and whether the discriminator takes it; computed without data."""

import torch

from basicsr_ganzoo.adversarial.builder import freeze_first_layers
from basicsr_ganzoo.checking.networks import allocated_network
from basicsr_ganzoo.config.findings import error
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.logits import as_list
from basicsr_ganzoo.models.content_losses import further_losses

LARGEST = 1024  # pixels; of larger crops it is not tried what a network makes
SCALE_KEYS = 'set scale (RRDBNet), upscale (MSRResNet, SRVGGNetCompact) or the like in network_g'


def check(plan):
    """Findings about the scale, gt_size and the networks."""
    key = 'gt_size' if 'gt_size' in plan.given else 'datasets.train.gt_size'
    scale, gt_size = plan.opt.get('scale', 1), plan.get(key)
    if plan.is_wrong('scale', key):
        return
    if gt_size and gt_size % scale:
        yield error(key, f'{gt_size} is no multiple of the scale {scale}; crops of lq would not fit')
        return
    for adversary in plan.adversaries if gt_size else ():
        if not plan.is_wrong(*map(adversary.where, ('network_d', 'views', 'd_reg_opt', 'net_d_freeze'))):
            yield from _discriminator(plan, adversary, gt_size)
    yield from _windows(plan, gt_size // scale) if gt_size else ()
    yield from _generator(plan, scale, gt_size or 32 * scale)


def _windows(plan, side):
    for key in further_losses(plan.get('train', {})):
        window = getattr(plan.built.get(f'train.{key}'), 'window', 0)
        if plan.get(f'train.{key}.type') == 'LRConsistencyLoss' and window > side:
            message = f'{window} pixels do not fit into lq of {side}x{side}, gt_size over scale; give at most {side}'
            yield error(f'train.{key}.window', message)


def _generator(plan, scale, gt_size):
    side = gt_size // scale
    out = _output(plan, 'network_g', (1, plan.get('network_g.num_in_ch', 3), side, side))
    if isinstance(out, Exception):
        yield error('network_g', f'it cannot take lq of {side}x{side} pixels, gt_size over scale{_reason(out)}')
    if isinstance(out, torch.Tensor) and out.shape[-1] != gt_size:
        factor = out.shape[-1] * scale / gt_size
        yield error('network_g', f'its scale is {factor:g}, but the scale of the option file is {scale}; {SCALE_KEYS}')


def _discriminator(plan, adversary, gt_size):
    key = adversary.where('network_d')
    yield from _freezing(plan.built.get(key), adversary)
    try:
        shown = _seen(plan, adversary, gt_size)
    except OptionError as mistake:
        yield error(adversary.where('views'), mistake)
        return
    out = _output(plan, key, shown)
    behind = ' and what the views make of it' if adversary.get('views') else ''
    if isinstance(out, OptionError):
        yield error(key, f'{out}; that is gt_size{behind}')
    elif isinstance(out, Exception):
        yield error(key, f'it cannot take {gt_size}x{gt_size} pixels, which is gt_size{behind}{_reason(out)}')
    else:
        yield from _cutmix(plan, adversary, out)


def _freezing(net, adversary):
    try:
        freeze_first_layers(net, adversary.get('net_d_freeze', 0)) if net else None
    except ValueError as mistake:
        yield error(adversary.where('net_d_freeze'), mistake)


def _seen(plan, adversary, gt_size):
    """The shape of what D is shown of G's image, behind its views."""
    device = 'meta' if gt_size > LARGEST else 'cpu'
    image = torch.zeros(1, plan.get('network_g.num_out_ch', 3), gt_size, gt_size, device=device)
    for index in range(len(adversary.get('views', []))):
        (image,) = plan.built[f'{adversary.where("views")}[{index}]'](image)
    return image.shape


def _cutmix(plan, adversary, logits):
    is_map = all(scale.ndim == 4 for scale in as_list(logits) if scale is not None)
    for key, regularizer in plan.regularizers(adversary).items():
        if type(regularizer).__name__ == 'CutMixConsistency' and not is_map:
            message = 'CutMixConsistency needs a map of logits, such as that of a U-Net or a PatchGAN; remove it'
            yield error(key, message)


def _reason(mistake):
    return f' ({" ".join(str(mistake).split())})' if str(mistake) else ''


def _output(plan, key, shape):
    """What a network makes of an image, why it makes nothing of it, or None where that is not known."""
    net = plan.built.get(key)
    if net is None:
        return None
    out = _attempt(net, torch.empty(shape, device='meta'))
    if isinstance(out, Exception) and not isinstance(out, OptionError):  # some networks cannot run on the meta device
        small = max(shape) <= LARGEST
        out = _attempt(allocated_network(plan.get(key)), torch.zeros(shape)) if small else None
    return out


@torch.no_grad()
def _attempt(net, image):
    try:
        return net(image)
    except Exception as mistake:  # a network of somebody else's may raise anything
        return mistake
