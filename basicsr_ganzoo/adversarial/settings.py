"""What an adversary is called, and what it does beside its losses."""

from dataclasses import dataclass

from basicsr_ganzoo.adversarial.skip import SkipWhenStrong
from basicsr_ganzoo.engine import MovingAverage


class Named:
    """Names of an adversary by its ``name`` in the option file; the only one is called ''."""

    @property
    def label(self):
        """The stem of its files: ``net_d``, or ``net_d_NAME``."""
        return f'net_d_{self.name}' if self.name else 'net_d'

    @property
    def suffix(self):
        """What the names of its metrics end with, such as ``l_g_gan_NAME``."""
        return f'_{self.name}' if self.name else ''

    @property
    def block(self):
        """The block in which the keys of its losses and its optimizer are, with a dot."""
        return f'adversaries.{self.name}.' if self.name else 'train.'


@dataclass(frozen=True)
class AdversarySettings(Named):
    """How an adversary weighs in G's gradient, and how D is updated.

    Args:
        name: in the option file; '' for the only adversary.
        weight: the factor of the adversary's gradient at the image, one of ``gan_weights``; None is 1.
        skip: decides in which steps D is not updated.
        grad_clip: the norm to which D's gradient is clipped; 0 does not clip.
        weight_clip: D's weights are clipped to [-weight_clip, weight_clip] after each update (WGAN, arXiv:1701.07875).
        average: a moving average of D.
    """

    name: str = ''
    weight: object = None
    skip: SkipWhenStrong | None = None
    grad_clip: float = 0
    weight_clip: float = 0
    average: MovingAverage | None = None
