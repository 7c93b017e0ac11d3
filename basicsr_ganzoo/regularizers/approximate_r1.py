"""Approximate R1 or R2 penalty by finite differences: the change of D's logit when noise is added to the image."""

from typing import Annotated, Literal

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from pydantic import Field

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, NonNegative, Number
from basicsr_ganzoo.losses.logits import mean_logit
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer, noise_like


@register(LOSS_REGISTRY)
class ApproximateR1Regularizer(Regularizer):
    """R1 or R2 by finite differences (APT: Lin et al. 2025, arXiv:2501.08316).

    penalty = E[ (mean(D(x)) - mean(D(x + n)))^2 ] / (2 sigma^2) with n ~ N(0, sigma^2), in (logit / intensity)^2; both
    terms are differentiated. As sigma goes to 0, its expectation approaches ``R1Regularizer``, because that of (g n)^2
    is sigma^2 |g|^2, so ``loss_weight`` has the same meaning. The paper's lambda |D(x) - D(x + n)|^2 is a
    ``loss_weight`` of 2 lambda sigma^2. It needs no second derivative, which some layers lack, but it needs float32: in
    half precision the difference is lost in rounding.
    Differs from the usual form in that D sees x and x + n in one batch. In two passes D is not the same function: in
    training mode each pass updates spectral norm, which changes the logits by more than the noise does (for a U-Net the
    penalty was 3 to a million times R1).
    Cost: 2.0 times a step of D, in the iterations of its interval.

    Args:
        loss_weight: gamma, as in ``R1Regularizer``; the paper's lambda 100 is 0.005 with sigma 0.005.
        interval: see :class:`Regularizer`; the paper has 1.
        sigma: standard deviation of the noise for images in 0..1, at least 1e-4; 0.005 is the paper's 0.01 for images
            in -1..1.
        side: ``real`` for R1 or ``fake`` for R2; for both, use two regularizers.
    """

    @checked
    def __init__(
        self,
        loss_weight: NonNegative = 10.0,
        interval: Count = 1,
        sigma: Annotated[Number, Field(ge=1e-4)] = 0.005,
        side: Literal['real', 'fake'] = 'real',
    ):
        super().__init__(loss_weight, interval)
        self.sigma = sigma
        self.side = side

    def penalty(self, step):
        image = (step.real if self.side == 'real' else step.fake).detach()
        noisy = image + self.sigma * noise_like(image, step.generator)
        clean, moved = mean_logit(step.logits(torch.cat([image, noisy]))).chunk(2)
        return ((clean - moved) / self.sigma).square().mean() / 2
