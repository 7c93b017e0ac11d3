"""Factors of the GAN weight that change during training. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('gan_weights')
globals().update(registered)
__all__ = [*registered]
