"""Base class of the discriminator's regularizers, and the step of D that they receive."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, NonNegative
from basicsr_ganzoo.losses.logits import at_least_float32, mean_logit


@dataclass(frozen=True)
class DiscStep:
    """One step of D.

    ``real`` and ``fake`` are the inputs of D, after its views: images (N, C, H, W). ``real_pred`` and ``fake_pred`` are
    its logits for them: a tensor, or a list of one per scale. ``logits`` runs D on further images. ``iteration`` is the
    iteration of the training. Random values come from ``generator``; None is torch's global one.
    """

    logits: Callable
    real: torch.Tensor
    fake: torch.Tensor
    real_pred: torch.Tensor | list
    fake_pred: torch.Tensor | list
    iteration: int
    generator: torch.Generator | None = None


class Regularizer(nn.Module):
    """Base class of the regularizers. A subclass computes its term of D's loss in ``penalty``.

    Args:
        loss_weight: factor of the penalty in D's loss, at least 0.
        interval: the penalty is added every ``interval`` iterations, multiplied by ``interval``, which keeps its mean
            (lazy regularization, arXiv:1912.04958, Sec. 3.1); at least 1.

    Keep state in buffers: it is then saved and resumed with the training.
    """

    #: whether ``penalty`` differentiates ``real_pred`` at ``real``, or ``fake_pred`` at ``fake``
    needs_real_grad = needs_fake_grad = False
    #: whether the penalty limits D's slope, without which a WGAN critic grows without bound
    limits_slope = True
    #: whether D runs in float32, even with ``train.amp``, in a step that has this penalty
    full_precision = True

    @checked
    def __init__(self, loss_weight: NonNegative = 1.0, interval: Count = 1):
        super().__init__()
        self.loss_weight = loss_weight
        self.interval = interval

    def is_due(self, iteration):
        """Whether the penalty is added in this iteration."""
        return iteration % self.interval == 0

    def penalty(self, step):
        """The penalty for a :class:`DiscStep`, without its weight: 0-dim, float32, differentiable in D's weights."""
        raise NotImplementedError

    def forward(self, step):
        """The penalty times its weight and its interval."""
        return self.penalty(step) * (self.loss_weight * self.interval)


def image_gradient(pred, image, create_graph=True):
    """The gradient of each sample's mean logit with respect to its image: (N, C * H * W), in logit / intensity.

    The mean, not the sum as in BasicSR's ``r1_penalty``, so that repeating a logit changes nothing.
    """
    (gradient,) = torch.autograd.grad(mean_logit(pred).sum(), image, create_graph=create_graph, retain_graph=True)
    return at_least_float32(gradient).flatten(1)


def noise_like(image, generator=None):
    """Standard normal noise of the shape of ``image``."""
    return torch.randn(image.shape, generator=generator, dtype=image.dtype, device=image.device)
