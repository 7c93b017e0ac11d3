"""Pairings: how a GAN loss combines real and fake logits. Each is a function ``(real, fake) -> (real, fake)``."""

import torch
from torch import distributed as dist


class _MeanOverRanks(torch.autograd.Function):
    """Mean over all ranks. Its gradient is the mean of the gradients of all ranks."""

    @staticmethod
    def forward(ctx, x):
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x / dist.get_world_size()

    @staticmethod
    def backward(ctx, gradient):
        return _MeanOverRanks.apply(gradient)


def mean_over_ranks(x):
    """The mean of a tensor over all ranks of a distributed training, differentiable; without ranks ``x`` itself."""
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return _MeanOverRanks.apply(x) if several else x


def _mean(x, dims, detach):
    return mean_over_ranks((x.detach() if detach else x).mean(dim=dims, keepdim=True))


def plain(real, fake, detach_mean=False):
    """The logits, unchanged."""
    return real, fake


def average(real, fake, detach_mean=False):
    """Subtract the mean of the other side over batch, map and ranks: relativistic average GAN (arXiv:1807.00734)."""
    dims = tuple(range(real.ndim))
    return real - _mean(fake, dims, detach_mean), fake - _mean(real, dims, detach_mean)


def batch_average(real, fake, detach_mean=False):
    """Subtract the mean of the other side over batch and ranks only, at each position of the map: KAIR's ``ragan``."""
    return real - _mean(fake, 0, detach_mean), fake - _mean(real, 0, detach_mean)


def paired(real, fake, detach_mean=False):
    """Subtract the other side sample by sample: relativistic pairing GAN (arXiv:1807.00734, R3GAN arXiv:2501.05441)."""
    return real - fake, fake - real


PAIRINGS = {function.__name__: function for function in (plain, average, batch_average, paired)}
