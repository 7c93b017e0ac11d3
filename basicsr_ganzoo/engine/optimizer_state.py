"""Restoring optimizers and their schedules from a training state."""

import torch
from basicsr.utils import get_root_logger

from basicsr_ganzoo.engine.optimizers import FORMS

#: what a scheduler counts; the rest of its state comes from the option file
COUNTED = ('last_epoch', '_step_count', '_last_lr')

#: the entry of a state that distinguishes AdamW from Adam
DECAY = 'decoupled_weight_decay'


def load_optimizers(pairs, resume_state, saved):
    """Restore optimizers and schedulers; where the option file has another schedule now, it replaces the saved one.

    Args:
        pairs: (optimizer, scheduler) by label.
        resume_state: a training state.
        saved: the labels of the optimizers in the state, in their order.

    Raises:
        ValueError: the state belongs to other optimizers.
    """
    optimizers, schedulers = resume_state['optimizers'], resume_state['schedulers']
    kinds = resume_state.get('optimizer_types', [None] * len(optimizers))
    states = dict(zip(saved, zip(optimizers, schedulers, kinds, strict=True), strict=True))
    for label, (optimizer, scheduler) in pairs.items():
        state, schedule, kind = states[label]
        own = _schedule_of(optimizer, scheduler)
        load_optimizer(optimizer, state, kind)
        scheduler.load_state_dict(schedule)
        if own != _schedule_of(optimizer, scheduler):
            rates = ', '.join(f'{rate:g}' for rate in own[0])
            get_root_logger().info(f'resuming with the schedule of the option file, which begins at {rates}')
        _replace_schedule(optimizer, scheduler, own)


def _schedule_of(optimizer, scheduler):
    """The initial learning rates and the arguments of the scheduler."""
    rates = [group['initial_lr'] for group in optimizer.param_groups]
    return rates, {key: value for key, value in scheduler.state_dict().items() if key not in COUNTED}


def _replace_schedule(optimizer, scheduler, schedule):
    """Continue with ``schedule``; the factor by which the saved one had changed the learning rates is kept."""
    rates, arguments = schedule
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if rate != group['initial_lr']:
            group['lr'] = group['lr'] * rate / group['initial_lr'] if group['initial_lr'] else rate
            group['initial_lr'] = rate
    vars(scheduler).update(arguments)


def load_optimizer(optimizer, state, kind=None):
    """Load a state into an optimizer of the same kind, which keeps its form (fused or not).

    Args:
        optimizer: of torch.
        state: its state dict, or that of another form of it.
        kind: the name of the class that the state belongs to, if known.

    Raises:
        ValueError: the state belongs to another kind of optimizer, or to other weights.
    """
    name = type(optimizer).__name__
    if kind not in (None, name):
        raise ValueError(f'it is of {kind}, not of {name}')
    decays = {group[DECAY] for group in state['param_groups'] if DECAY in group}
    if DECAY in optimizer.defaults and decays - {optimizer.defaults[DECAY]}:
        raise ValueError(f'its weight decay is not that of {name}')
    pairs = zip(state['param_groups'], optimizer.param_groups, strict=False)  # torch compares their numbers
    groups = [{**saved, **{key: ours[key] for key in FORMS if key in ours}} for saved, ours in pairs]
    optimizer.load_state_dict({**state, 'param_groups': groups + state['param_groups'][len(groups) :]})
    for group in optimizer.param_groups:
        missing = sorted(optimizer.defaults.keys() - group.keys() - set(FORMS))
        if missing:
            raise ValueError(f'it has no {", ".join(missing)} for {name}')
        _match_form(optimizer, group)


def _match_form(optimizer, group):
    """Give a loaded state the memory format of the weights, as fused kernels need, and put its counts on the CPU."""
    on_device = group.get('fused') or group.get('capturable')
    for parameter in group['params']:
        state = optimizer.state.get(parameter, {})
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                continue
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
            elif name == 'step' and not on_device:
                state[name] = value.cpu()
