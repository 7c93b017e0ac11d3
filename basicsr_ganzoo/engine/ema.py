"""Moving averages of networks."""

import torch

from basicsr_ganzoo.engine.snapshot import copy_all

#: the vectors of spectral norm, as a hook or as a parametrization, whose mean would not have length 1
VECTORS = ('weight_u', 'weight_v', '._u', '._v')


class MovingAverage:
    """Moves ``average`` towards ``net``, parameters and buffers; what cannot be averaged is copied.

    Their tensors are looked up once, so both must keep the tensors they have now.

    Args:
        average: a network of the same kind as ``net``.
        net: the network it follows.
        decay: how much of the average a step keeps.
    """

    def __init__(self, average, net, decay=0.999):
        self.net, self.decay = average, decay
        ours, theirs = (each.state_dict(keep_vars=True) for each in (average, getattr(net, 'module', net)))
        moved = [name for name, tensor in ours.items() if tensor.is_floating_point() and not name.endswith(VECTORS)]
        copied = [name for name in ours if name not in set(moved)]
        self.moved = [ours[name] for name in moved], [theirs[name] for name in moved]
        self.copied = [ours[name] for name in copied], [theirs[name] for name in copied]

    @torch.no_grad()
    def move(self, decay=None):
        """Keep ``decay`` of the average (by default its own) and take the rest from the network."""
        torch._foreach_lerp_(*self.moved, 1 - (self.decay if decay is None else decay))
        copy_all(*self.copied)

    def state_dict(self):
        """The averaged weights."""
        return self.net.state_dict()

    def load_state_dict(self, state):
        """Restore what :meth:`state_dict` returned."""
        self.net.load_state_dict(state)
