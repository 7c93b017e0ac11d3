"""Gradient penalties of WGAN-GP and DRAGAN: the norm of D's gradient, between real and fake or around real images."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, NonNegative
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer, image_gradient, noise_like


class _GradientNorm(Regularizer):
    """Base class of the penalties on the norm of the gradient. A subclass chooses the images in ``places``."""

    @checked
    def __init__(self, loss_weight: NonNegative = 10.0, interval: Count = 1, target: NonNegative = 1.0):
        super().__init__(loss_weight, interval)
        self.target = target

    def places(self, step):
        """The images (N, C, H, W) at which D is differentiated."""
        raise NotImplementedError

    def penalty(self, step):
        image = self.places(step).detach().requires_grad_()
        norm = image_gradient(step.logits(image), image).norm(dim=1)
        return (norm - self.target).square().mean()


@register(LOSS_REGISTRY)
class GradientPenalty(_GradientNorm):
    """Gradient penalty of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3).

    penalty = E[ (|d mean(D(x)) / dx| - target)^2 ] at x = t real_i + (1 - t) fake_i with t ~ U(0, 1) for each i; the
    norm is over C, H and W of one image, in logit / intensity. For a critic whose gradient has norm 1 it is 0.
    Differs from BasicSR's ``gradient_penalty_loss``, which takes the norm over C at each pixel and so penalizes such a
    critic, and from the paper by the pairs: real i and fake i show the same content. D should have no batch norm, which
    mixes the gradients of the samples.
    Cost: 2.0 times a step of D, in the iterations of its interval.

    Args:
        loss_weight: lambda; the paper has 10.
        interval: see :class:`Regularizer`; the paper has 1.
        target: the norm without a penalty, at least 0; the paper has 1, and 0 gives a zero-centred penalty.
    """

    def places(self, step):
        real = step.real
        t = torch.rand((len(real), 1, 1, 1), generator=step.generator, dtype=real.dtype, device=real.device)
        return t * real + (1 - t) * step.fake


@register(LOSS_REGISTRY)
class DRAGANPenalty(_GradientNorm):
    """Gradient penalty of DRAGAN (Kodali et al. 2017, arXiv:1705.07215).

    penalty = E[ (|d mean(D(x + n)) / dx| - target)^2 ] at real x with n ~ N(0, sigma^2), with the norm of
    ``GradientPenalty``. It needs no Wasserstein loss. D should have no batch norm.
    Cost: 2.0 times a step of D, in the iterations of its interval.

    Args:
        loss_weight: lambda; the paper has 10.
        interval: see :class:`Regularizer`; the paper has 1.
        target: the norm without a penalty, at least 0; the paper's k is 1.
        sigma: standard deviation of the noise for images in 0..1, at least 0; 0.1 is our choice.
    """

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 10.0,
        interval: Count = 1,
        target: NonNegative = 1.0,
        sigma: NonNegative = 0.1,
    ):
        super().__init__(loss_weight, interval, target)
        self.sigma = sigma

    def places(self, step):
        return step.real + self.sigma * noise_like(step.real, step.generator)
