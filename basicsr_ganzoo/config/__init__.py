"""Option files: reading, overriding and completing them, and building what their blocks describe."""

from basicsr_ganzoo.config.read import import_plugins, read_options
from basicsr_ganzoo.config.shipped import find_option_file

__all__ = ['find_option_file', 'import_plugins', 'read_options']
