"""Validation metrics in addition to BasicSR's. Importing this folder registers all of them in ``METRIC_REGISTRY``."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('metrics')
globals().update(registered)
__all__ = [*registered]
