"""What a discriminator is shown in place of the plain image. Importing this folder registers all of them."""

from basicsr_ganzoo.registry import import_entries
from basicsr_ganzoo.views.base import View

registered = import_entries('views')
globals().update(registered)
__all__ = ['View', *registered]
