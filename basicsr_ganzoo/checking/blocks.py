"""Blocks with a type: the name must be registered, the arguments must fit, and what is cheap is built once."""

import torch
from basicsr.archs.vgg_arch import NAMES
from basicsr.models import lr_scheduler
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.adversarial.roles import ROLES
from basicsr_ganzoo.checking.networks import meta_network
from basicsr_ganzoo.config.build import check_choice, lookup
from basicsr_ganzoo.config.findings import error
from basicsr_ganzoo.config.signature import argument_errors
from basicsr_ganzoo.engine.optimizers import arguments_of, optimizer_class
from basicsr_ganzoo.errors import OptionError, shown
from basicsr_ganzoo.models.content_losses import further_losses, target_of

SCHEDULERS = {
    'MultiStepLR': lr_scheduler.MultiStepRestartLR,
    'MultiStepRestartLR': lr_scheduler.MultiStepRestartLR,
    'CosineAnnealingRestartLR': lr_scheduler.CosineAnnealingRestartLR,
}
CONTENT = ('pixel_opt', 'perceptual_opt', 'ldl_opt')


def check(plan):
    """Findings about blocks with a type. What they describe is built into ``plan.built``."""
    if plan.opt.get('model_type'):
        yield from _attempt('model_type', lookup, MODEL_REGISTRY, plan.opt['model_type'])[1]
    train = plan.get('train', {})
    for key in (*CONTENT, *further_losses(train)):
        if train.get(key):
            yield from _content(plan, key, train[key])
    yield from _network(plan, 'network_g', plan.opt.get('network_g'))
    yield from _optimizer('train.optim_g', train.get('optim_g'))
    yield from _scheduler('train.scheduler', train.get('scheduler'))
    for adversary in plan.adversaries:
        yield from _network(plan, adversary.where('network_d'), adversary.get('network_d'))
        yield from _optimizer(adversary.where('optim_d'), adversary.get('optim_d'))
        for role, key, block in _blocks_of(adversary):
            yield from _in_role(plan, key, block, role)
    for name, block in plan.get('val.metrics', {}).items():
        yield from _arguments(f'val.metrics.{name}', block, METRIC_REGISTRY, ('img', 'img2'), ('type', 'better'))[1]


def _blocks_of(adversary):
    """Roles, dotted keys and blocks of an adversary's losses, views and regularizers."""
    for name, role in ROLES.items():
        where, value = adversary.where(name), adversary.get(name, {})
        if name == 'views':
            yield from ((role, f'{where}[{index}]', block) for index, block in enumerate(value))
        elif name == 'd_reg_opt':
            yield from ((role, f'{where}.{each}', block) for each, block in value.items())
        elif value:
            yield role, where, value


def _arguments(key, block, find, given=(), own=('type',)):
    """What the type of a block names, and the findings about its name and the arguments."""
    options = {name: value for name, value in block.items() if name not in own}
    find = find if callable(find) else lambda name, registry=find: lookup(registry, name)
    entry, found = _attempt(key, find, block['type'])
    mistakes = argument_errors(entry, options, given) if entry else []
    # Messages about values begin with `needs`, and those about names with the name of the entry.
    texts = [(name, f'this {text}' if text.startswith('needs ') else text) for name, text in mistakes]
    return entry, found + [error(f'{key}.{name}', text) for name, text in texts]


def _attempt(key, function, *args, block=None):
    """What a function returns, or None, and the finding about what it raises; ``block`` is what it builds."""
    try:
        return function(*args), []
    except (AssertionError, NotImplementedError, OptionError, ValueError) as mistake:
        return None, [error(key, str(mistake) or f'{block["type"]} refuses {_shown(block)}')]
    except Exception as mistake:  # a class of somebody else's may raise anything
        message = f'{block["type"]} cannot be built with {_shown(block)} ({mistake}); correct the values'
        return None, [error(key, message)]


def _shown(block):
    return ', '.join(f'{name}: {shown(value)}' for name, value in _options(block).items())


def _built(key, block, registry):
    """What a block describes, or None, and the findings about it."""
    entry, found = _arguments(key, block, registry)
    if found:
        return None, found
    return _attempt(key, lambda: entry(**_options(block)), block=block)


def _in_role(plan, key, block, role):
    plan.built[key], found = _built(key, block, role.registry)
    if not found:
        plan.built[key], found = _attempt(key, role.check, plan.built[key])
    yield from found


def _content(plan, key, block):
    where = f'train.{key}'
    if block['type'] == 'PerceptualLoss':
        yield from _arguments(where, block, LOSS_REGISTRY)[1] or _perceptual(where, block)
        return
    plan.built[where], found = _built(where, block, LOSS_REGISTRY)
    yield from found or _attempt(where, target_of, plan.built[where], where)[1]


def _perceptual(key, block):
    """BasicSR's perceptual loss fetches weights when it is built, so that its values are looked at one by one."""
    layers, vgg = block['layer_weights'], block.get('vgg_type', 'vgg19')
    known = {'vgg_type': (vgg, NAMES), 'criterion': (block.get('criterion', 'l1'), ('l1', 'l2', 'fro'))}
    for name, (value, choices) in known.items():
        yield from _attempt(f'{key}.{name}', check_choice, 'PerceptualLoss', name, value, choices)[1]
    if not isinstance(layers, dict):
        yield error(f'{key}.layer_weights', f'this needs to be a mapping of layers to weights, got {shown(layers)}')
    elif vgg in list(NAMES):
        for layer in layers:
            yield from _attempt(f'{key}.layer_weights.{layer}', check_choice, vgg, 'layers', layer, NAMES[vgg])[1]


def _network(plan, key, block):
    if block:
        found = _arguments(key, block, ARCH_REGISTRY)[1]
        if not found:
            plan.built[key], found = _attempt(key, meta_network, block, block=block)
        yield from found


def _optimizer(key, block):
    if block:
        kind, found = _arguments(key, block, optimizer_class, ('params',))
        yield from found or _attempt(key, _build_optimizer, kind, block, block=block)[1]


def _build_optimizer(kind, block):
    return kind([_parameter()], **arguments_of(kind, _options(block)))


def _scheduler(key, block):
    if block:
        entry, found = _arguments(key, block, _scheduler_class, ('optimizer',))
        optimizer = torch.optim.SGD([_parameter()], lr=1.0)
        yield from found or _attempt(key, lambda: entry(optimizer, **_options(block)), block=block)[1]


def _options(block):
    return {name: value for name, value in block.items() if name != 'type'}


def _scheduler_class(name):
    check_choice('the scheduler', 'type', name, SCHEDULERS)
    return SCHEDULERS[name]


def _parameter():
    return torch.nn.Parameter(torch.zeros(2, 2))
