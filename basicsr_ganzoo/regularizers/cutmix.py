"""CutMix consistency: D's logits for a mixed image must be the mixture of its logits."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch.nn import functional as F

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.logits import as_list, at_least_float32
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer


def random_boxes(image, generator=None):
    """Masks (N, 1, H, W) for a batch of images: 1 in a random box and 0 around it or, with probability 1/2, inverted.

    The area of the box, as a fraction of the image, and its position are uniform in 0..1.
    """
    share, top, left, coin = torch.rand(
        (4, len(image), 1, 1, 1), generator=generator, dtype=image.dtype, device=image.device
    )
    side = share.sqrt()

    def inside(length, place):
        middles = (torch.arange(length, dtype=image.dtype, device=image.device) + 0.5) / length
        return (middles - (place * (1 - side) + side / 2)).abs() < side / 2

    height, width = image.shape[2:]
    box = inside(height, top).transpose(2, 3) & inside(width, left)
    return (box ^ (coin < 0.5)).to(image.dtype)


@register(LOSS_REGISTRY)
class CutMixConsistency(Regularizer):
    """CutMix consistency of discriminators with a map of logits (U-Net GAN: Schönfeld et al. 2020, arXiv:2002.12655).

    penalty = E[ (D(M real + (1 - M) fake) - (M D(real) + (1 - M) D(fake)))^2 ] in logit^2, a mean over map, scales and
    batch; M is 1 in a random box (real i) and 0 elsewhere (fake i), and is average-pooled to the size of each map. All
    three terms are differentiated. The penalty is 0 for a D whose logits depend on one pixel each.
    Differs from the paper by the mean instead of a norm, by the pairs (real i and fake i show the same content), and by
    being the consistency term only: D is not also trained to classify the mixed image as partly real, partly fake.
    Cost: 1.5 times a step of D, in the iterations of its interval.

    Args:
        loss_weight: lambda; 1 is our choice.
        interval: see :class:`Regularizer`; 1 is our choice.

    Raises:
        OptionError: D returns one logit per image, not a map of logits.
    """

    full_precision = limits_slope = False

    def penalty(self, step):
        real_maps, fake_maps = _maps(step.real_pred), _maps(step.fake_pred)
        mask = random_boxes(step.real, step.generator)
        mixed_maps = _maps(step.logits(torch.lerp(step.fake.detach(), step.real.detach(), mask)))
        penalties = []
        for real, fake, mixed in zip(real_maps, fake_maps, mixed_maps, strict=True):
            share = F.adaptive_avg_pool2d(mask, real.shape[2:]).to(real.dtype)
            penalties.append((mixed - torch.lerp(fake, real, share)).square().mean())
        return torch.stack(penalties).mean()


def _maps(pred):
    for p in as_list(pred):
        if p.ndim < 4:
            raise OptionError(
                f'CutMixConsistency needs a discriminator with a map of logits, and this one returns logits of shape '
                f'{tuple(p.shape)}; use one such as UNetSNDiscriminator or PatchGANDiscriminator, or remove '
                'CutMixConsistency from train.d_reg_opt'
            )
    return [at_least_float32(p) for p in as_list(pred)]
