"""Optimizers by their names in ``torch.optim``."""

import torch

from basicsr_ganzoo._options import OptionError, check_choice, construct


def optimizer_classes():
    """The optimizers of ``torch.optim`` by name, but for LBFGS (wants a closure) and SparseAdam (sparse gradients)."""
    base, unfit = torch.optim.Optimizer, {'Optimizer', 'LBFGS', 'SparseAdam'}
    classes = {name: entry for name, entry in vars(torch.optim).items() if isinstance(entry, type)}
    return {name: entry for name, entry in classes.items() if issubclass(entry, base) and name not in unfit}


def with_floats(options):
    """Options of an optimizer whose lists hold floats: torch refuses ``betas: [0, 0.99]``, as YAML reads it."""
    return {key: [float(v) for v in value] if isinstance(value, list) else value for key, value in options.items()}


def optimizer_class(name):
    """The optimizer of this name.

    Raises:
        ValueError: there is none that training here can use; the message names a near one.
    """
    classes = optimizer_classes()
    check_choice('the optimizer', 'type', name, classes)
    return classes[name]


def build_optimizer(block, where, net):
    """Build the optimizer that ``block`` of an option file describes for what ``net`` trains.

    Args:
        block: a mapping with ``type``, ``lr`` and other arguments of the optimizer.
        where: its dotted key, for messages.
        net: the network.

    Raises:
        OptionError: the block is missing or wrong, or nothing of the network is to be trained.
    """
    options = dict(block or {})
    if 'type' not in options:
        raise OptionError(f'{where} is missing; it needs a type, such as Adam, and a learning rate lr')
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if not trainable:
        raise OptionError(f'{where} has nothing to optimize: no parameter of the network requires a gradient')
    for name, value in options.items():
        if isinstance(value, str) and name != 'type':
            raise OptionError(
                f'{where}.{name} is the text {value!r}, not a number; YAML wants a dot in it: 0.0001 or 1.0e-4'
            )
    try:
        return construct(optimizer_class(options.pop('type')), {'params': trainable, **with_floats(options)})
    except (TypeError, ValueError) as error:
        raise OptionError(f'{where}: {error}') from error


#: what a scheduler counts; everything else of its state is what the option file says
COUNTED = ('last_epoch', '_step_count', '_last_lr')


def schedule_of(optimizer, scheduler):
    """What the option file says of the learning rates: those to begin with, and the scheduler's numbers."""
    rates = [group['initial_lr'] for group in optimizer.param_groups]
    return rates, {key: value for key, value in scheduler.state_dict().items() if key not in COUNTED}


def take_schedule(optimizer, scheduler, schedule):
    """Let a resumed optimizer follow ``schedule``, of :func:`schedule_of`, from here on.

    What the schedule of the state has made of the learning rates so far is kept, as a factor.
    """
    rates, numbers = schedule
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if rate != group['initial_lr']:
            group['lr'] = group['lr'] * rate / group['initial_lr'] if group['initial_lr'] else rate
            group['initial_lr'] = rate
    vars(scheduler).update(numbers)


def check_resumed(optimizer):
    """Raise ``ValueError`` if the state that was loaded lacks what the optimizer needs, as another kind's does."""
    for group in optimizer.param_groups:
        missing = sorted(optimizer.defaults.keys() - group.keys())
        if missing:
            raise ValueError(f'it has no {", ".join(missing)} for {type(optimizer).__name__}')
