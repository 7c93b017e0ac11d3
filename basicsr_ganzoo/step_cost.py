"""What a training step costs: FLOPs of the networks that a model has built, from shapes alone."""

import copy
from unittest import mock

import torch
from torch import nn

from basicsr_ganzoo._pipeline import unchanged_randomness
from basicsr_ganzoo.cost import FlopCounter

#: a prime above all usual intervals, so that of the lazy regularizers none is due
NOT_DUE = 1_000_003


def step_cost(model, gt_size):
    """FLOPs per picture of a step in which all networks learn, forward and backward passes together.

    Nothing is computed, and neither the model nor a random number changes.

    Args:
        model: a model of ours, or of BasicSR's.
        gt_size: side in pixels of the pictures that it trains on.

    Returns:
        dict of ``G``, ``D`` (the games of all adversaries; lazy regularizers with their mean) and ``perceptual`` (all
        content losses that are networks), as far as the model has them; None where it cannot be told.
    """
    lq, gt = _pictures(model.opt, gt_size)
    parts = {'G': lambda: _of_generator(model, lq)}
    if getattr(model, 'adversaries', None) or hasattr(model, 'net_d'):
        parts['D'] = lambda: sum(_of_games(adversary, gt) for adversary in model.adversaries.values())
    losses = _networks_among_losses(model)
    if losses:
        parts['perceptual'] = lambda: sum(_of_loss(loss, gt) for loss in losses)
    with unchanged_randomness(), _alone():
        return {name: _attempt(part) for name, part in parts.items()}


def _pictures(opt, gt_size):
    """lq and gt, one picture each, of shapes alone."""
    lq_size, channels = gt_size // opt.get('scale', 1), [opt['network_g'].get(f'num_{k}_ch', 3) for k in ('in', 'out')]
    sizes = zip(channels, (lq_size, gt_size), strict=True)
    return [torch.empty(1, channel, size, size, device='meta') for channel, size in sizes]


def _alone():
    """Losses with means over all processes do without: this is for one of them to call."""
    return mock.patch.object(torch.distributed, 'is_initialized', return_value=False)


def _attempt(part):
    try:
        return part()
    except Exception:  # what a network of somebody else's does without numbers may raise nearly anything
        return None


def _of_generator(model, lq):
    """G's passes, with that of the averaged generator which LDL compares with."""
    net = without_numbers(_bare(model.net_g))
    with FlopCounter() as counter:
        sr = net(lq)
        sr.backward(torch.empty_like(sr))
        if getattr(model, 'cri_ldl', None) or getattr(getattr(model, 'content', None), 'ldl', None):
            with torch.no_grad():
                net(lq)
    return counter.total


def _of_loss(loss, gt):
    loss, sr = without_numbers(loss), torch.empty_like(gt, requires_grad=True)
    with FlopCounter() as counter:
        values = loss(sr, gt)
        total = sum(value for value in (values if isinstance(values, tuple) else [values]) if value is not None)
        torch.autograd.grad(total, sr)
    return counter.total


def _networks_among_losses(model):
    """The content losses of a model that have weights, as perceptual losses have."""
    content = getattr(model, 'content', None)
    losses = [content.perceptual, *(loss for loss, _ in content.further.values())] if content else []
    losses.append(getattr(model, 'cri_perceptual', None))
    return [loss for loss in losses if isinstance(loss, nn.Module) and next(loss.parameters(), None) is not None]


def _of_games(adversary, gt):
    """The games of an adversary, with a regularizer's mean over its interval."""
    lazy = {name: r for name, r in adversary.regularizers.items() if r.interval > 1}
    plain = _of_a_game(adversary, gt, NOT_DUE)
    extra = 0
    for name, regularizer in lazy.items():
        due = _of_a_game(adversary, gt, NOT_DUE * regularizer.interval, without=set(lazy) - {name})
        extra += (due - plain) / regularizer.interval
    return plain + extra


def _of_a_game(adversary, gt, iteration, without=()):
    """One step's games, without the regularizers of these names."""
    twin = without_numbers(adversary)
    for name in without:
        del twin.regularizers[name]
    with FlopCounter() as counter:
        twin.play(gt, gt.clone(), iteration=iteration)
    return counter.total


def without_numbers(thing):
    """A deep copy of a module, or of an object that holds modules, whose weights and buffers are on the meta device.

    None of their numbers are copied. Optimizers are left out, and wrappers for several processes or GPUs.
    """
    memo = {}
    for module in [thing] if isinstance(thing, nn.Module) else _held(vars(thing).values()):
        for tensor in (*module.parameters(), *module.buffers()):
            memo[id(tensor)] = _on_meta(tensor)
    for value in vars(thing).values():
        if isinstance(value, torch.optim.Optimizer):
            memo[id(value)] = None
        elif isinstance(value, nn.Module) and _bare(value) is not value:
            memo[id(value)] = copy.deepcopy(_bare(value), memo)
    return copy.deepcopy(thing, memo)


def _held(values):
    """The modules among values, also in lists, tuples and mappings."""
    for value in values:
        if isinstance(value, nn.Module):
            yield value
        elif isinstance(value, (list, tuple, dict)):
            yield from _held(value.values() if isinstance(value, dict) else value)


def _on_meta(tensor):
    empty = tensor.detach().to('meta')
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _bare(net):
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return net.module if isinstance(net, wrappers) else net
