"""LeCam: D's answers may not run away from what it used to say about the other side."""

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch.nn import functional as F

from basicsr_ganzoo.config.build import check_number, check_whole_number
from basicsr_ganzoo.losses.logits import mean_logit
from basicsr_ganzoo.losses.pairing import mean_over_ranks
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.regularizers.base import Regularizer


@register(LOSS_REGISTRY)
class LeCamRegularizer(Regularizer):
    """LeCam regularization, for little data (Tseng et al. 2021, arXiv:2104.03310).

    penalty = E[ max(0, r - a_f)^2 ] + E[ max(0, a_r - f)^2 ] in logit^2, where r and f are the mean logits of a real
    and of a fake picture, and a_r and a_f are moving averages of them over the batches of all ranks, this one included.
    The max is that of the authors' code; the paper's formula is two-sided, without it. Both charge the same for every
    picture that D ranks right. The averages start as plain means, without the pull of a zero. Not for relativistic
    losses, which leave the level of the logits free: there is nothing to anchor.
    Price: a due step costs D 1.0 times as much.

    Args:
        loss_weight: lambda; 0.1 is our choice.
        interval: see the base class. The averages see only the steps that are due; 1 is the authors'.
        decay: of the moving averages, per step that is due; 0.99 is that of the authors' code.
        start: iteration of the first charge, before which only the averages move; 1000 is that of the authors' code.
    """

    full_precision = False

    def __init__(self, loss_weight=0.1, interval=1, decay=0.99, start=1000):
        super().__init__(loss_weight, interval)
        check_number(type(self).__name__, 'decay', decay, 0, 1)
        check_whole_number(type(self).__name__, 'start', start, 0)
        self.decay = decay
        self.start = start
        self.register_buffer('anchors', torch.zeros(2))
        self.register_buffer('updates', torch.zeros((), dtype=torch.long))

    def penalty(self, step):
        real, fake = mean_logit(step.real_pred), mean_logit(step.fake_pred)
        real_anchor, fake_anchor = self._update(real, fake)
        charge = F.relu(real - fake_anchor).square().mean() + F.relu(real_anchor - fake).square().mean()
        return charge * (step.iteration >= self.start)

    @torch.no_grad()
    def _update(self, real, fake):
        means = mean_over_ranks(torch.stack([real.mean(), fake.mean()]))
        keep = (self.updates / (self.updates + 1)).clamp(max=self.decay)
        self.anchors.lerp_(means.to(self.anchors), 1 - keep)
        self.updates += 1
        return self.anchors.clone()
