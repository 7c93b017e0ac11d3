"""Regularizers of a discriminator. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries
from basicsr_ganzoo.regularizers.base import DiscStep, Regularizer

registered = import_entries('regularizers')
globals().update(registered)
__all__ = ['DiscStep', 'Regularizer', *registered]
