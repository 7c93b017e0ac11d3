"""Blocks with a type: the name must be registered, and the options must be arguments of what it names."""

import inspect
import itertools

import torch
from basicsr.archs.vgg_arch import NAMES
from basicsr.losses.basic_loss import PerceptualLoss
from basicsr.models import lr_scheduler
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.checking.findings import error, get, is_wrong, paths
from basicsr_ganzoo.checking.keys import NUMBER
from basicsr_ganzoo.config.build import build, check_choice, construct, lookup
from basicsr_ganzoo.config.signature import argument_errors
from basicsr_ganzoo.engine.optimizers import arguments_of, optimizer_class
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.content_losses import further_losses

LOSSES = ('train.pixel_opt', 'train.perceptual_opt', 'train.ldl_opt')
SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}


def check(opt):
    """Findings about blocks with a type."""
    found = list(_blocks(opt))
    for key in (*_losses(opt), *_optimizers(opt), 'train.scheduler'):
        block = get(opt, key)
        if block and not is_wrong(found, key) and not _has_number_as_text(block):
            found += _trial(key, block)
    return found


def _blocks(opt):
    if opt.get('model_type'):
        yield from _attempt('model_type', lookup, MODEL_REGISTRY, opt['model_type'])
    for key in ('network_g', *(paths(opt, 'network_d') or ['network_d'])):
        yield from _block(opt, key, lambda name: lookup(ARCH_REGISTRY, name))
    for key in _losses(opt):
        yield from _block(opt, key, lambda name: lookup(LOSS_REGISTRY, name))
    for key in _optimizers(opt):
        yield from _block(opt, key, optimizer_class, 'params')
    yield from _block(opt, 'train.scheduler', _scheduler, 'optimizer')
    for metric in get(opt, 'val.metrics', {}):
        yield from _block(opt, f'val.metrics.{metric}', _metric, 'img', 'img2')


def _losses(opt):
    further = (f'train.{key}' for key in further_losses(get(opt, 'train', {})))
    of_adversaries = (paths(opt, key) for key in ('gan_opt', 'feature_matching_opt', 'gan_weight_opt'))
    return [*LOSSES, *further, *itertools.chain(*of_adversaries)]


def _optimizers(opt):
    return ['train.optim_g', *paths(opt, 'optim_d')]


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
    try:
        for name, message in argument_errors(find(block['type']), options, given):
            if not _is_number_as_text(options.get(name)):
                yield error(f'{key}.{name}', message)
        for name in {'milestones', 'periods'} & options.keys():  # of schedulers, without a default or an annotation
            if not isinstance(options[name], list):
                yield error(f'{key}.{name}', f'needs to be a list, got {options[name]!r}')
    except (OptionError, ValueError) as mistake:
        yield error(key, mistake)


def _trial(key, block):
    """Findings from building what is cheap to build, which tells everything about its values."""
    options = {name: value for name, value in block.items() if name != 'type'}
    if key.endswith(('optim_g', 'optim_d')):
        yield from _attempt(key, _build_optimizer, optimizer_class(block['type']), options)
    elif key == 'train.scheduler':
        yield from _attempt(key, construct, _scheduler(block['type']), {'optimizer': _any_optimizer(), **options})
    elif lookup(LOSS_REGISTRY, block['type']) is PerceptualLoss:
        yield from _perceptual(key, block)
    else:
        yield from _attempt(key, _build_loss, key, block)


def _build_optimizer(kind, options):
    return construct(kind, {'params': [_parameter()], **arguments_of(kind, options)})


def _parameter():
    return torch.nn.Parameter(torch.zeros(2, 2))


def _any_optimizer():
    return torch.optim.SGD([_parameter()], lr=1.0)


def _has_number_as_text(value):
    if isinstance(value, (dict, list)):
        return any(map(_has_number_as_text, value.values() if isinstance(value, dict) else value))
    return _is_number_as_text(value)


def _is_number_as_text(value):
    """Whether ``value`` is what :mod:`.keys` reports."""
    return isinstance(value, str) and bool(NUMBER.fullmatch(value))


def _build_loss(key, block):
    """Build a loss; that of a GAN needs our call, or that of BasicSR's GANLoss."""
    loss = build(LOSS_REGISTRY, block, key)
    if key.endswith('gan_opt') and not _is_adversarial(loss):
        raise OptionError(f'{block["type"]} is no adversarial loss; `ganzoo list losses` names them')


def _is_adversarial(loss):
    return hasattr(loss, 'd_loss') or 'target_is_real' in inspect.signature(loss.forward).parameters


def _perceptual(key, block):
    """BasicSR's perceptual loss fetches weights when it is built, so that its values are looked at one by one."""
    layers, vgg = block['layer_weights'], block.get('vgg_type', 'vgg19')
    yield from _attempt(f'{key}.vgg_type', check_choice, 'PerceptualLoss', 'vgg_type', vgg, NAMES)
    criterion = block.get('criterion', 'l1')
    yield from _attempt(f'{key}.criterion', check_choice, 'PerceptualLoss', 'criterion', criterion, ('l1', 'l2', 'fro'))
    if not isinstance(layers, dict):
        yield error(f'{key}.layer_weights', f'this needs to be a mapping of layers to weights, got {layers!r}')
        return
    for layer in layers if vgg in NAMES else ():
        yield from _attempt(f'{key}.layer_weights.{layer}', check_choice, vgg, 'layers', layer, NAMES[vgg])


def _metric(name):
    return lookup(METRIC_REGISTRY, name)


def _scheduler(name):
    check_choice('the scheduler', 'type', name, SCHEDULERS)
    return SCHEDULERS[name]


def _attempt(key, function, *args):
    try:
        function(*args)
    except (AssertionError, OptionError, NotImplementedError, TypeError, ValueError) as mistake:
        yield error(key, mistake)
