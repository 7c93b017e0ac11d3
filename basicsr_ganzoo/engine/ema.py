"""Moving averages of networks."""

import torch

#: the vectors of spectral norm, as a hook or as a parametrization, whose mean would not have the length 1
VECTORS = ('weight_u', 'weight_v', '._u', '._v')


class MovingAverage:
    """Moves ``average`` towards ``net``, parameters and buffers; what cannot be averaged is copied.

    Their tensors are looked up once, so both have to keep those that they have now.

    Args:
        average: a network of the same kind as ``net``.
        net: the network that it follows.
    """

    def __init__(self, average, net):
        ours, theirs = (each.state_dict(keep_vars=True) for each in (average, getattr(net, 'module', net)))
        moved = [name for name, tensor in ours.items() if tensor.is_floating_point() and not name.endswith(VECTORS)]
        copied = [name for name in ours if name not in set(moved)]
        self.moved = [ours[name] for name in moved], [theirs[name] for name in moved]
        self.copied = [ours[name] for name in copied], [theirs[name] for name in copied]

    @torch.no_grad()
    def move(self, decay, bad=None):
        """Keep ``decay`` of the average and take the rest from the network.

        Nothing moves where ``bad``, a 0-dim tensor, is 1; that is not read.
        """
        ours, theirs = self.moved
        if bad is None:
            torch._foreach_lerp_(ours, theirs, 1 - decay)
        else:
            way = torch._foreach_sub(theirs, ours)
            torch._foreach_mul_(way, 1 - bad)
            torch._foreach_add_(ours, way, alpha=1 - decay)
        copy_all(*self.copied, unless=bad)


def copy_all(targets, sources, unless=None):
    """Copy tensors into others; none where ``unless``, a 0-dim tensor of 0 or 1, is 1, which is not read."""
    if unless is not None:
        sources = [torch.where(unless > 0, target, source) for target, source in zip(targets, sources, strict=True)]
    if targets:
        torch._foreach_copy_(targets, sources)
