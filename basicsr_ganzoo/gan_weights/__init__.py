"""GAN weights that change during training. Importing this folder registers all of them in ``LOSS_REGISTRY``."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('gan_weights')
globals().update(registered)
__all__ = [*registered]
