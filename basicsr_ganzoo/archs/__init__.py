"""Discriminators. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('archs')
globals().update(registered)
__all__ = [*registered]
