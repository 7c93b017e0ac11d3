"""``--force_yml``: values of an option file from the command line, by the safe YAML loader; nothing is executed."""

from basicsr_ganzoo.errors import OptionError, shown

MOST_LEVELS = 16
FORM = '--force_yml needs KEY:KEY=VALUE'


def add_argument(parser, example='train:total_iter=5000'):
    """The flag, as BasicSR's train.py has it."""
    message = f'set values of the option file, also of new keys, in blocks that need not be there: {example}'
    parser.add_argument('--force_yml', nargs='+', metavar='KEY:KEY=VALUE', help=message)


def apply(entries, opt):
    """Set the values of ``entries`` in ``opt``, which is changed. A missing block is made, as is one that is empty.

    Raises:
        OptionError: an entry has no key or no ``=``, its value is not YAML, or its path leads through a value.
    """
    for entry in entries or ():
        keys, equals, value = entry.partition('=')
        *parents, last = (part.strip() for part in keys.split(':'))
        if not equals or not all((*parents, last)):
            raise OptionError(f'{FORM}, such as train:total_iter=5000, got {shown(entry)}')
        if len(parents) > MOST_LEVELS:
            raise OptionError(f'{FORM} of at most {MOST_LEVELS} levels, got {shown(entry)}')
        _block(opt, parents, entry)[last] = _read(value, entry)


def _block(opt, parents, entry):
    """The mapping at the keys ``parents``."""
    for depth, parent in enumerate(parents, start=1):
        if opt.get(parent) is None:
            opt[parent] = {}
        if not isinstance(opt[parent], dict):
            where = ':'.join(parents[:depth])
            raise OptionError(f'{FORM}, but {where} is {shown(opt[parent])}, which holds no keys, in {shown(entry)}')
        opt = opt[parent]
    return opt


def _read(value, entry):
    import yaml

    from basicsr_ganzoo.config.bounded_yaml import load, reason

    try:
        return load(value)
    except yaml.YAMLError as error:
        raise OptionError(f'--force_yml: the value of {shown(entry)} is not YAML: {reason(error)}') from error
