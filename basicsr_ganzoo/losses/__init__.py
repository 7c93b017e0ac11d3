"""GAN losses and other losses of the generator. Importing this folder registers all of them in ``LOSS_REGISTRY``.

Derive your own GAN loss from :class:`AdversarialLoss`.
"""

from basicsr_ganzoo.losses.adversarial import AdversarialLoss, is_gan_loss
from basicsr_ganzoo.losses.pairing import PAIRINGS
from basicsr_ganzoo.registry import import_entries

registered = import_entries('losses')
globals().update(registered)
__all__ = ['AdversarialLoss', 'PAIRINGS', 'is_gan_loss', *registered]
