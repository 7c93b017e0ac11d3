"""Read an option file, import its plug-ins, and check it."""

from basicsr_ganzoo import registry
from basicsr_ganzoo.checking.check import check_options
from basicsr_ganzoo.config import find_option_file, import_plugins, overrides, read_options
from basicsr_ganzoo.config.read import leave_out_emptied


def prepare(path, force_yml=None):
    """Read an option file, make what it imports known, and check it.

    Returns:
        The options, with ``force_yml`` in them, and the findings about them (``checking.Finding``).

    Raises:
        OptionError: there is no option file, ``force_yml`` does not fit, or an import fails.
    """
    path = find_option_file(path)
    opt = read_options(path)
    overrides.apply(force_yml, opt)
    leave_out_emptied(opt)
    registry.import_submodules()
    import_plugins(opt.get('imports') or [], path.parent)
    return opt, check_options(opt)
