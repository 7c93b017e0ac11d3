"""Regularizers of the discriminator. Importing this folder registers all of them in ``LOSS_REGISTRY``.

Derive your own from :class:`Regularizer`; its ``penalty`` receives a :class:`DiscStep`.
"""

from basicsr_ganzoo.registry import import_entries
from basicsr_ganzoo.regularizers.base import DiscStep, Regularizer

registered = import_entries('regularizers')
globals().update(registered)
__all__ = ['DiscStep', 'Regularizer', *registered]
