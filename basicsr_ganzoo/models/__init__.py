"""The models, which hold one training step and what a run saves. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries

registered = import_entries('models')
globals().update(registered)
__all__ = [*registered]
