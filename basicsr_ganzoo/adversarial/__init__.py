"""One discriminator with its loss, regularizers, views and optimizer: its whole part of a training step."""

from basicsr_ganzoo.adversarial.adversary import Adversary
from basicsr_ganzoo.adversarial.builder import AdversaryBuilder
from basicsr_ganzoo.adversarial.options import adversaries_of

__all__ = ['Adversary', 'AdversaryBuilder', 'adversaries_of']
