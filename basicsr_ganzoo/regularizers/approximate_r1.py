"""R1 without a second derivative: D's answer may not change when noise is added to the picture."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.build import check_choice, check_number
from basicsr_ganzoo.losses.logits import mean_logit
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer, noise_like


@register(LOSS_REGISTRY)
class ApproximateR1Regularizer(Regularizer):
    """R1 or R2 by finite differences (APT: Lin et al. 2025, arXiv:2501.08316).

    penalty = E[ (mean(D(x)) - mean(D(x + n)))^2 ] / (2 sigma^2) with n ~ N(0, sigma^2), in (logit / intensity)^2; both
    terms carry a gradient. As sigma goes to 0 its expectation becomes the value of ``R1Regularizer``, because that of
    (g n)^2 is sigma^2 |g|^2; so ``loss_weight`` means the same here and there. The paper's lambda |D(x) - D(x + n)|^2
    is a ``loss_weight`` of 2 lambda sigma^2. It needs no second derivative, which some layers lack, but it needs
    float32: in half precision the difference is rounding.
    Differs from the usual form in that D sees x and x + n in one batch. In two passes it is not the same D: in
    training, spectral norm moves in each, by more than the noise does (a U-Net was charged 3 to a million times R1).
    Price: a due step costs D 2.0 times as much.

    Args:
        loss_weight: gamma, as in ``R1Regularizer``; the paper's lambda 100 is 0.005 with the sigma of 0.005.
        interval: see the base class; the paper's is 1.
        sigma: standard deviation of the noise for images in 0..1; 0.005 is the paper's 0.01 of images in -1..1.
        side: ``real`` for R1 or ``fake`` for R2; charge both with two regularizers.
    """

    def __init__(self, loss_weight=10.0, interval=1, sigma=0.005, side='real'):
        super().__init__(loss_weight, interval)
        check_number(type(self).__name__, 'sigma', sigma, least=1e-4)
        check_choice(type(self).__name__, 'side', side, ('real', 'fake'))
        self.sigma = sigma
        self.side = side

    def penalty(self, step):
        image = (step.real if self.side == 'real' else step.fake).detach()
        noisy = image + self.sigma * noise_like(image, step.generator)
        clean, moved = mean_logit(step.logits(torch.cat([image, noisy]))).chunk(2)
        return ((clean - moved) / self.sigma).square().mean() / 2
