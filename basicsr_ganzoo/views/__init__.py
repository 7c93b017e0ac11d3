"""Views: differentiable transforms of D's input. Importing this folder registers all of them in ``ARCH_REGISTRY``.

Derive your own from :class:`View`.
"""

from basicsr_ganzoo.registry import import_entries
from basicsr_ganzoo.views.base import View

registered = import_entries('views')
globals().update(registered)
__all__ = ['View', *registered]
