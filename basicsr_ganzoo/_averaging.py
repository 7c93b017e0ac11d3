"""Moving averages of networks."""

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

#: the vectors of spectral norm, as a hook or as a parametrization, whose mean would not have the length 1
VECTORS = ('weight_u', 'weight_v', '._u', '._v')


@torch.no_grad()
def average_into(average, decay, net):
    """Move ``average`` towards ``net``, parameters and buffers; what cannot be averaged is copied."""
    ours, theirs = average.state_dict(), _bare(net).state_dict()
    averaged = [name for name, tensor in ours.items() if tensor.is_floating_point() and not name.endswith(VECTORS)]
    get_ema_multi_avg_fn(decay)([ours[n] for n in averaged], [theirs[n] for n in averaged], None)
    for name in ours.keys() - averaged:
        ours[name].copy_(theirs[name])


def _bare(net):
    return getattr(net, 'module', net)
