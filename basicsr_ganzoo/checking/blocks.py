"""Blocks with a type: the name must be registered, and the options must be arguments of what it names."""

from basicsr.models import lr_scheduler
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo._options import OptionError, check_arguments, check_choice, lookup
from basicsr_ganzoo.checking import error, get
from basicsr_ganzoo.models.ganzoo_model import optimizer_classes

LOSSES = ('pixel_opt', 'perceptual_opt', 'ldl_opt', 'gan_opt')
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}


def check(opt):
    """Findings about blocks with a type."""
    if opt.get('model_type'):
        yield from _attempt('model_type', lookup, MODEL_REGISTRY, opt['model_type'])
    for key in ('network_g', 'network_d'):
        yield from _block(opt, key, lambda name: lookup(ARCH_REGISTRY, name))
    for key in LOSSES:
        yield from _block(opt, f'train.{key}', lambda name: lookup(LOSS_REGISTRY, name))
    yield from _gan_loss(opt)
    for key in ('optim_g', 'optim_d'):
        yield from _block(opt, f'train.{key}', _optimizer, 'params')
    yield from _block(opt, 'train.scheduler', _scheduler, 'optimizer')
    for metric in get(opt, 'val.metrics', {}):
        yield from _block(opt, f'val.metrics.{metric}', lambda name: lookup(METRIC_REGISTRY, name), 'img', 'img2')


def _block(opt, key, find, *given):
    """Findings about the block ``key``, whose type ``find`` looks up; the arguments ``given`` come from elsewhere."""
    block = get(opt, key)
    if block is None:
        return
    if not isinstance(block, dict) or 'type' not in block:
        yield error(key, f'this needs to be a mapping with a type, got {block!r}')
        return
    own = ('type', 'better') if key.startswith('val.metrics') else ('type',)
    options = {name: value for name, value in block.items() if name not in own}
    yield from _attempt(key, lambda: check_arguments(find(block['type']), {**dict.fromkeys(given), **options}))


def _gan_loss(opt):
    """A GAN loss is cheap to build, which tells everything about its values."""
    from basicsr_ganzoo._options import build

    block = get(opt, 'train.gan_opt')
    if isinstance(block, dict) and 'type' in block:
        yield from _attempt('train.gan_opt', build, LOSS_REGISTRY, block, 'train.gan_opt')


def _optimizer(name):
    check_choice('the optimizer', 'type', name, optimizer_classes())
    return optimizer_classes()[name]


def _scheduler(name):
    check_choice('the scheduler', 'type', name, SCHEDULERS)
    return SCHEDULERS[name]


def _attempt(key, function, *args):
    try:
        function(*args)
    except (OptionError, ValueError) as mistake:
        yield error(key, mistake)
