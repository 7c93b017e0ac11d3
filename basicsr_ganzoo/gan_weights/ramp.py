"""Linear ramp of the GAN weight over the iterations."""

from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, Natural, NonNegative
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class GANWeightRamp:
    """Linear ramp from ``start`` to ``end``, for GAN training that starts from a PSNR model (our choice, no paper).

    The factor multiplies the adversary's gradient at the image, and so ``gan_opt.loss_weight``. It gives a new
    discriminator time to learn before it has an effect on G; ``net_d_init_iters`` trains only D first.

    Args:
        start: factor up to iteration ``begin``, at least 0.
        end: factor from iteration ``begin + iters`` on, at least 0.
        iters: length of the ramp in iterations, at least 1.
        begin: first iteration of the ramp; set it to ``net_d_init_iters`` if that is given.
    """

    @checked
    def __init__(self, start: NonNegative = 0.0, end: NonNegative = 1.0, iters: Count = 5000, begin: Natural = 0):
        self.start, self.end, self.iters, self.begin = start, end, iters, begin

    def factor(self, iteration):
        """The factor of the GAN weight in this iteration."""
        part = min(max((iteration - self.begin) / self.iters, 0.0), 1.0)
        return self.start + part * (self.end - self.start)

    def observe(self, metrics):
        """Ignore the metrics of a step: a ramp depends on the iteration only."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        """There is no state to load."""
