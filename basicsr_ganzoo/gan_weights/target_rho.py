"""A GAN weight that holds the GAN's share of the gradient at the image."""

import math

from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.build import check_number
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class GANWeightTargetRho:
    """Holds rho, the norm of the GAN's gradient at the image over that of the content losses, at ``target``.

    A weight that fits one discriminator is wrong by a factor of 100 for another; a share is not. The idea is that of
    VQGAN's adaptive weight (arXiv:2012.09841, Eq. 7), which compares gradients at G's last layer. Here they are
    compared at the image, where both exist anyway, so that it costs nothing. Smoothing and bounds are our choice.

    It multiplies the adversary's gradient, hence ``gan_opt.loss_weight``. When it stays at ``most``, D gives G next to
    no gradient: the health report says so, because a larger weight would only hide that.

    Args:
        target: rho to hold; 0.1 polishes, 1 steers as much as the content losses do.
        least, most: bounds of the factor.
        smoothing: of rho between iterations, from 0 (none) to below 1; 0.99 looks back over some hundred iterations.
    """

    #: without content losses there is nothing to compare with
    needs_content = True

    def __init__(self, target=0.3, least=0.01, most=100.0, smoothing=0.99):
        name = type(self).__name__
        check_number(name, 'target', target, least=1e-6)
        check_number(name, 'least', least, least=1e-9)
        check_number(name, 'most', most, least=least)
        check_number(name, 'smoothing', smoothing, least=0, most=0.999999)
        self.target, self.least, self.most, self.smoothing = target, least, most, smoothing
        self._sum = self._norm = 0.0

    def factor(self, iteration):
        """The factor that would have given ``target`` in the last iterations, within the bounds; 1 before the first."""
        if not self._norm:
            return min(max(1.0, self.least), self.most)
        if not self._sum:
            return self.most
        return min(max(self.target * self._norm / self._sum, self.least), self.most)

    def observe(self, numbers):
        """Take in a step's ``rho``, if the content losses had a gradient, and ``w_gan``, the factor that was in it."""
        if 'w_gan' not in numbers or not math.isfinite(numbers.get('rho', math.inf)):
            return
        self._sum = self.smoothing * self._sum + (1 - self.smoothing) * numbers['rho'] / numbers['w_gan']
        self._norm = self.smoothing * self._norm + (1 - self.smoothing)

    def state_dict(self):
        return {'sum': self._sum, 'norm': self._norm}

    def load_state_dict(self, state):
        self._sum, self._norm = state['sum'], state['norm']
