"""LeCam regularization: D's logits stay close to moving averages of its logits for the other side."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch.nn import functional as F

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, Natural, NonNegative, Share
from basicsr_ganzoo.losses.logits import mean_logit
from basicsr_ganzoo.losses.pairing import mean_over_ranks
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer


@register(LOSS_REGISTRY)
class LeCamRegularizer(Regularizer):
    """LeCam regularization, for small datasets (Tseng et al. 2021, arXiv:2104.03310).

    penalty = E[ max(0, r - a_f)^2 ] + E[ max(0, a_r - f)^2 ] in logit^2, where r and f are the mean logits of a real
    and of a fake image, and a_r and a_f are their moving averages over the batches of all ranks, including this one.
    The max is from the authors' code; the paper's formula is two-sided, without it. The two are equal for every image
    that D ranks correctly. The averages start as plain means, so they are not biased towards zero. Not for relativistic
    losses, which do not determine the level of the logits, so that there is nothing to anchor.
    Cost: 1.0 times a step of D.

    Args:
        loss_weight: lambda; 0.1 is our choice.
        interval: see :class:`Regularizer`; the authors have 1. Other iterations do not update the averages.
        decay: of the moving averages, per update, from 0 to 1; the authors' code has 0.99.
        start: first iteration with the penalty; before it only the averages are updated. The authors' code has 1000.
    """

    full_precision = limits_slope = False

    @checked
    def __init__(self, loss_weight: NonNegative = 0.1, interval: Count = 1, decay: Share = 0.99, start: Natural = 1000):
        super().__init__(loss_weight, interval)
        self.decay = decay
        self.start = start
        self.register_buffer('anchors', torch.zeros(2))
        self.register_buffer('updates', torch.zeros((), dtype=torch.long))

    def penalty(self, step):
        real, fake = mean_logit(step.real_pred), mean_logit(step.fake_pred)
        real_anchor, fake_anchor = self._update(real, fake)
        penalty = F.relu(real - fake_anchor).square().mean() + F.relu(real_anchor - fake).square().mean()
        return penalty * (step.iteration >= self.start)

    @torch.no_grad()
    def _update(self, real, fake):
        means = mean_over_ranks(torch.stack([real.mean(), fake.mean()]))
        keep = (self.updates / (self.updates + 1)).clamp(max=self.decay)
        self.anchors.lerp_(means.to(self.anchors), 1 - keep)
        self.updates += 1
        return self.anchors.clone()
