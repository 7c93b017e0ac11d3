"""Adaptive GAN weight that keeps the ratio of GAN gradient to content gradient at a target."""

import math
from typing import Annotated

from basicsr.utils.registry import LOSS_REGISTRY
from pydantic import Field

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Number
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register

Bound = Annotated[Number, Field(ge=1e-9)]


@register(LOSS_REGISTRY)
class GANWeightTargetRho:
    """Keeps rho, the norm of the GAN gradient at the image divided by that of the content losses, at ``target``.

    A weight that fits one discriminator can be wrong by a factor of 100 for another; a ratio is not. The idea is that
    of VQGAN's adaptive weight (arXiv:2012.09841, Eq. 7), which compares gradients at G's last layer. Here they are
    compared at the image, where both exist anyway, so it costs nothing. Smoothing and bounds are our choice.

    The factor multiplies the adversary's gradient, and so ``gan_opt.loss_weight``. If it stays at ``max``, D gives G
    almost no gradient: the health report warns of it, because a larger weight would only hide that.

    Args:
        target: rho to keep, at least 1e-6; 0.1 refines, 1 has as much influence as the content losses.
        min, max: bounds of the factor, at least 1e-9.
        smoothing: of rho over iterations, from 0 (none) to below 1; 0.99 averages over about a hundred iterations.
        least, most: the former names of ``min`` and ``max``.

    Raises:
        OptionError: an argument is out of its range, or ``max`` is below ``min``.
    """

    #: requires content losses, because rho compares with them
    needs_content = True

    @checked
    def __init__(
        self,
        target: Annotated[Number, Field(ge=1e-6)] = 0.3,
        min: Bound = 0.01,
        max: Bound = 100.0,
        smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.99,
        least: Bound | None = None,
        most: Bound | None = None,
    ):
        self.target, self.smoothing = target, smoothing
        self.min = min if least is None else least
        self.max = max if most is None else most
        if self.max < self.min:
            raise OptionError(f'GANWeightTargetRho needs max to be at least min, {self.min:g}, got {self.max:g}')
        self._sum = self._norm = 0.0

    def factor(self, iteration):
        """The factor that would have given ``target`` in the last iterations, within the bounds; 1 before the first."""
        if not self._norm:
            return min(max(1.0, self.min), self.max)
        if not self._sum:
            return self.max
        return min(max(self.target * self._norm / self._sum, self.min), self.max)

    def observe(self, metrics):
        """Update the average with a step's ``rho``, if the content losses had a gradient, and its factor ``w_gan``."""
        if 'w_gan' not in metrics or not math.isfinite(metrics.get('rho', math.inf)):
            return
        self._sum = self.smoothing * self._sum + (1 - self.smoothing) * metrics['rho'] / metrics['w_gan']
        self._norm = self.smoothing * self._norm + (1 - self.smoothing)

    def state_dict(self):
        return {'sum': self._sum, 'norm': self._norm}

    def load_state_dict(self, state):
        self._sum, self._norm = state['sum'], state['norm']
