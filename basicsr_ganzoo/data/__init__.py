"""Datasets, and the reading of images. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('data')
globals().update(registered)
__all__ = [*registered]
