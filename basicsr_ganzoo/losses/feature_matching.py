"""Feature matching: the discriminator's own maps, on real and on fake pictures."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.build import check_number
from basicsr_ganzoo.losses.logits import at_least_float32
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class FeatureMatchingLoss(nn.Module):
    """L1 distance of D's feature maps on SR from those on GT (pix2pixHD, arXiv:1711.11585, Eq. 4).

    The mean over D's maps. As ``feature_matching_opt`` it needs no pass of its own: the maps come from the passes of D
    that the GAN loss uses anyway. D must have ``features``, as those of this package have. It counts as a part of the
    adversary's gradient at the image, in ``rho`` too. Differs from pix2pixHD, whose sum over layers and scales has a
    weight of 10.

    Args:
        loss_weight: factor of G's loss.
    """

    #: not with a picture, but with lists of D's maps; makes it a ``feature_matching_opt``
    compares_with = 'maps'

    def __init__(self, loss_weight=1.0):
        super().__init__()
        check_number(type(self).__name__, 'loss_weight', loss_weight, least=0)
        self.loss_weight = loss_weight

    def forward(self, real_maps, fake_maps):
        """Compare two lists of maps (N, C, h, w), of which the real ones have no graph. Returns a 0-dim tensor."""
        pairs = zip(real_maps, fake_maps, strict=True)
        distances = [F.l1_loss(at_least_float32(fake), at_least_float32(real)) for real, fake in pairs]
        return torch.stack(distances).mean() * self.loss_weight
