"""What a regularizer of D sees, and what all of them share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from basicsr_ganzoo.config.build import check_number, check_whole_number
from basicsr_ganzoo.losses.logits import at_least_float32, mean_logit


@dataclass(frozen=True)
class DiscStep:
    """One computation of D's loss.

    ``real`` and ``fake`` are what D was shown, behind its views: images (N, C, H, W). ``real_pred`` and ``fake_pred``
    are the logits that it gave, a tensor or a list of one per scale. ``logits`` runs D on further images. Random
    numbers come from ``generator``; None is torch's global one.
    """

    logits: Callable
    real: torch.Tensor
    fake: torch.Tensor
    real_pred: torch.Tensor | list
    fake_pred: torch.Tensor | list
    iteration: int
    generator: torch.Generator | None = None


class Regularizer(nn.Module):
    """Base of the regularizers. A subclass says in ``penalty`` what D is charged for.

    Args:
        loss_weight: factor of the penalty in D's loss.
        interval: the penalty is charged in every ``interval``-th iteration, ``interval`` times as much, which keeps
            its mean (lazy regularization, arXiv:1912.04958, Sec. 3.1).

    Its state, if it has any, is in buffers, and is saved and resumed with the training.
    """

    #: whether ``penalty`` differentiates ``real_pred`` at ``real``, or ``fake_pred`` at ``fake``
    needs_real_grad = needs_fake_grad = False
    #: whether D runs in float32 in a step that is due, also with ``train.amp``: what gradients and differences need
    full_precision = True

    def __init__(self, loss_weight=1.0, interval=1):
        super().__init__()
        check_number(type(self).__name__, 'loss_weight', loss_weight, least=0)
        check_whole_number(type(self).__name__, 'interval', interval)
        self.loss_weight = loss_weight
        self.interval = interval

    def is_due(self, iteration):
        """Whether the penalty is charged in this iteration."""
        return iteration % self.interval == 0

    def penalty(self, step):
        """What a :class:`DiscStep` is charged, without the weight: 0-dim, float32, with a graph to D's weights."""
        raise NotImplementedError

    def forward(self, step):
        """The penalty with its weight and, for laziness, times the interval."""
        return self.penalty(step) * (self.loss_weight * self.interval)


def image_gradient(pred, image, create_graph=True):
    """The gradient of each sample's mean logit at its image, as (N, C * H * W).

    The mean, not the sum that BasicSR's ``r1_penalty`` takes, so that repeating a logit changes nothing.
    """
    (gradient,) = torch.autograd.grad(mean_logit(pred).sum(), image, create_graph=create_graph, retain_graph=True)
    return at_least_float32(gradient).flatten(1)


def noise_like(image, generator=None):
    """Standard normal noise of the shape of ``image``."""
    return torch.randn(image.shape, generator=generator, dtype=image.dtype, device=image.device)
