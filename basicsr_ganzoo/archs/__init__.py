"""Discriminator networks. Importing this folder registers all of them in BasicSR's ``ARCH_REGISTRY``."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('archs')
globals().update(registered)
__all__ = [*registered]
