"""R1 and R2 gradient penalties: D's squared gradient at the real or at the fake images."""

from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, NonNegative
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer, image_gradient


def half_square(gradient):
    """Half the squared norm of each sample's gradient (N, C * H * W), averaged over the batch."""
    return gradient.square().sum(dim=1).mean() / 2


@register(LOSS_REGISTRY)
class R1Regularizer(Regularizer):
    """R1 gradient penalty on the real images (Mescheder et al. 2018, arXiv:1801.04406, Eq. 9).

    penalty = 1/2 E[ |d mean(D(x)) / dx|^2 ] at real x, summed over C, H and W, in (logit / intensity)^2.
    Differs from BasicSR's ``r1_penalty`` by the 1/2, and by the mean logit of a sample instead of the sum of all
    logits, so that repeating a logit changes nothing. A weight still does not transfer between discriminators, image
    ranges (the penalty is four times as large for 0..1 as for -1..1) and, for a map of local logits, crop sizes (it
    falls with their area): raise it until the penalty is about a tenth of D's loss.
    Cost: 1.5 times a step of D, in the iterations of its interval.

    Args:
        loss_weight: gamma; the paper has 10, for one logit and images in -1..1.
        interval: see :class:`Regularizer`; StyleGAN2 has 16 (arXiv:1912.04958, Sec. 3.1).
    """

    needs_real_grad = True

    @checked
    def __init__(self, loss_weight: NonNegative = 10.0, interval: Count = 16):
        super().__init__(loss_weight, interval)

    def penalty(self, step):
        return half_square(image_gradient(step.real_pred, step.real))


@register(LOSS_REGISTRY)
class R2Regularizer(Regularizer):
    """R2 gradient penalty on the fake images (Mescheder et al. 2018, arXiv:1801.04406, Eq. 10).

    penalty = 1/2 E[ |d mean(D(x)) / dx|^2 ] at fake x; otherwise as ``R1Regularizer``. R3GAN (arXiv:2501.05441) uses
    both in every step.
    Cost: 1.5 times a step of D, and twice with ``R1Regularizer``, in the iterations of its interval.

    Args:
        loss_weight: gamma, as in ``R1Regularizer``.
        interval: as in ``R1Regularizer``.
    """

    needs_fake_grad = True

    @checked
    def __init__(self, loss_weight: NonNegative = 10.0, interval: Count = 16):
        super().__init__(loss_weight, interval)

    def penalty(self, step):
        return half_square(image_gradient(step.fake_pred, step.fake))
