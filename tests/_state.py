"""Everything that a step may change in a model, to be compared bit by bit."""

import copy

import torch


def state_of(model):
    """A copy of the networks, their averages, the optimizers and what else the adversaries keep."""
    adversaries = model.adversaries.items()
    return copy.deepcopy(
        {
            'net_g': model.net_g.state_dict(),
            'net_g_ema': model.net_g_ema.state_dict(),
            'networks_d': {label: adversary.bare.state_dict() for label, adversary in adversaries},
            'adversaries': {label: adversary.state_dict() for label, adversary in adversaries},
            'optimizers': [optimizer.state_dict() for optimizer in model.optimizers],
        }
    )


def differences(one, other, where=''):
    """The places in which two states differ: dicts, lists, tensors or numbers."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [place for key in one for place in differences(one[key], other[key], f'{where}.{key}')]
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        pairs = enumerate(zip(one, other, strict=True))
        return [place for index, (a, b) in pairs for place in differences(a, b, f'{where}[{index}]')]
    return [] if one == other else [where]
