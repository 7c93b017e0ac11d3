"""Feature matching loss: the discriminator's feature maps on real and on fake images."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import NonNegative
from basicsr_ganzoo.losses.logits import at_least_float32
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class FeatureMatchingLoss(nn.Module):
    """L1 distance between D's feature maps on SR and on GT, averaged over maps (pix2pixHD, arXiv:1711.11585, Eq. 4).

    As ``feature_matching_opt`` it costs no extra forward pass: the maps come from the passes of D that the GAN loss
    needs. D must have ``features``, as the discriminators of this package have. It is part of the adversary's gradient
    at the image, and so of ``rho``. Differs from pix2pixHD, which sums over layers and scales, with a weight of 10.

    Args:
        loss_weight: factor of G's loss, at least 0.
    """

    #: compares lists of D's feature maps, not images, which makes it a ``feature_matching_opt``
    compares_with = 'maps'

    @checked
    def __init__(self, loss_weight: NonNegative = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, real_maps, fake_maps):
        """Compare two lists of feature maps (N, C, h, w); the real ones are detached. Returns a 0-dim tensor."""
        pairs = zip(real_maps, fake_maps, strict=True)
        distances = [F.l1_loss(at_least_float32(fake), at_least_float32(real)) for real, fake in pairs]
        return torch.stack(distances).mean() * self.loss_weight
