"""R1 and R2: D has to be flat at the real images, or at the fake ones."""

from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer, image_gradient


def half_square(gradient):
    """Half the squared norm of each sample's gradient (N, C * H * W), averaged over the batch."""
    return gradient.square().sum(dim=1).mean() / 2


@register(LOSS_REGISTRY)
class R1Regularizer(Regularizer):
    """R1 gradient penalty on the real images (Mescheder et al. 2018, arXiv:1801.04406, Eq. 9).

    penalty = 1/2 E[ |d mean(D(x)) / dx|^2 ] at real x, summed over C, H and W, in (logit / intensity)^2.
    Differs from BasicSR's ``r1_penalty`` by the 1/2, and by the mean logit of a sample where that takes the sum of all,
    so that repeating a logit changes nothing. A weight still does not carry over between discriminators, image ranges
    (the penalty is four times as large for 0..1 as for -1..1) and, where D has a map whose logits see parts of the
    picture, crop sizes (it falls with their area): raise it until the penalty is about a tenth of D's loss.
    Price: a due step costs D 1.5 times as much.

    Args:
        loss_weight: gamma; 10 is the paper's, for one logit and images in -1..1.
        interval: see the base class; 16 is that of StyleGAN2 (arXiv:1912.04958, Sec. 3.1).
    """

    needs_real_grad = True

    def __init__(self, loss_weight=10.0, interval=16):
        super().__init__(loss_weight, interval)

    def penalty(self, step):
        return half_square(image_gradient(step.real_pred, step.real))


@register(LOSS_REGISTRY)
class R2Regularizer(Regularizer):
    """R2 gradient penalty on the fake images (Mescheder et al. 2018, arXiv:1801.04406, Eq. 10).

    penalty = 1/2 E[ |d mean(D(x)) / dx|^2 ] at fake x; everything else is as in ``R1Regularizer``, whose companion it
    is in R3GAN (arXiv:2501.05441), which charges both in every step.
    Price: a due step costs D 1.5 times as much, and with ``R1Regularizer`` twice as much.

    Args:
        loss_weight: gamma, as in ``R1Regularizer``.
        interval: as in ``R1Regularizer``.
    """

    needs_fake_grad = True

    def __init__(self, loss_weight=10.0, interval=16):
        super().__init__(loss_weight, interval)

    def penalty(self, step):
        return half_square(image_gradient(step.fake_pred, step.fake))
