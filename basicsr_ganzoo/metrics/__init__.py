"""Validation metrics beside those of BasicSR. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('metrics')
globals().update(registered)
__all__ = [*registered]
