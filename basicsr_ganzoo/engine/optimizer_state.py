"""Optimizers and their schedules, as a training state gives them back."""

import torch

from basicsr_ganzoo.engine.optimizers import FORMS

#: what a scheduler counts; everything else of its state is what the option file says
COUNTED = ('last_epoch', '_step_count', '_last_lr')

#: what tells AdamW from Adam in a state
DECAY = 'decoupled_weight_decay'


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


def load_optimizer(optimizer, state, kind=None):
    """Load a state into an optimizer of the same kind, whose form (fused or not) stays that of the option file.

    Args:
        optimizer: of torch's.
        state: its state dict, or that of another form of it.
        kind: the name of the class that the state is of, where that is known.

    Raises:
        ValueError: the state is of another kind of optimizer, or of other weights.
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
        _take_form(optimizer, group)


def _take_form(optimizer, group):
    """Lay a loaded state out as the weights are, which fused kernels rely on, and put its counts where they belong."""
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
