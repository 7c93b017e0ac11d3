"""A GAN weight that grows, or falls, while training goes on."""

from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_ganzoo.config.build import check_number, check_whole_number
from basicsr_ganzoo.registry import register


@register(LOSS_REGISTRY)
class GANWeightRamp:
    """A straight line from ``start`` to ``end`` (GAN training from a PSNR model; our choice, no paper).

    It multiplies the adversary's gradient at the image, hence ``gan_opt.loss_weight``. A discriminator that has not met
    this generator yet has time to learn before its judgement counts; ``net_d_init_iters`` lets it learn alone first.

    Args:
        start: factor in the first iterations.
        end: factor from iteration ``begin + iters`` on.
        iters: length of the ramp in iterations.
        begin: iteration in which the ramp begins; give ``net_d_init_iters`` where that is set.
    """

    def __init__(self, start=0.0, end=1.0, iters=5000, begin=0):
        name = type(self).__name__
        check_number(name, 'start', start, least=0)
        check_number(name, 'end', end, least=0)
        check_whole_number(name, 'iters', iters, least=1)
        check_whole_number(name, 'begin', begin, least=0)
        self.start, self.end, self.iters, self.begin = start, end, iters, begin

    def factor(self, iteration):
        """The factor in this iteration."""
        part = min(max((iteration - self.begin) / self.iters, 0.0), 1.0)
        return self.start + part * (self.end - self.start)

    def observe(self, numbers):
        """A ramp follows nothing but the iteration."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        """There is no state to load."""
