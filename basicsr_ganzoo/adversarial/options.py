"""The adversaries that an option file describes: one, with BasicSR's keys, or several by name."""

import re
from dataclasses import dataclass

from torch import nn

from basicsr_ganzoo.adversarial.settings import Named
from basicsr_ganzoo.config.schema import HOMES
from basicsr_ganzoo.errors import OptionError, did_you_mean

NEEDED = ('network_d', 'gan_opt')
NAME = re.compile(r'[A-Za-z]\w*')


@dataclass(frozen=True)
class AdversaryOptions(Named):
    """The keys of one adversary, without their blocks, and its name, '' for the only one."""

    name: str
    options: dict

    def where(self, key):
        """The dotted key of one of its keys, for messages."""
        return f'adversaries.{self.name}.{key}' if self.name else f'{HOMES[key]}{key}'

    def get(self, key, default=None):
        value = self.options.get(key)
        return default if value is None else value


def adversaries_of(opt):
    """The adversaries of an option file, as a list of :class:`AdversaryOptions`.

    Raises:
        OptionError: the file has both forms, a block that is no mapping, or a name that cannot be part of a file name.
    """
    several = opt.get('adversaries')
    single = {key: (opt.get(home[:-1]) or {} if home else opt).get(key) for key, home in HOMES.items()}
    single = {key: value for key, value in single.items() if value is not None}
    if not several:
        return [AdversaryOptions('', single)] if 'network_d' in single or 'gan_opt' in single else []
    extra = [key for key in single if key not in ('param_key_d', 'strict_load_d')]
    if extra:
        where = f'{HOMES[extra[0]]}{extra[0]}'
        raise OptionError(f'{where} is there beside adversaries; move it into the block of the adversary it belongs to')
    if not isinstance(several, dict):
        raise OptionError(f'adversaries needs to be a mapping of names to blocks, got {several!r}')
    for name, block in several.items():
        _check_form(name, block)
    _check_case(several)
    return [AdversaryOptions(name, block) for name, block in several.items()]


def _check_form(name, block):
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OptionError(f'adversaries.{name}: a name has to be of letters, digits and _, for its files')
    if not isinstance(block, dict):
        raise OptionError(
            f'adversaries.{name} needs to be a mapping with {", ".join((*NEEDED, "optim_d"))}, got {block!r}'
        )


def _check_case(names):
    first = {}
    for name in names:
        other = first.setdefault(name.lower(), name)
        if other != name:
            raise OptionError(
                f'adversaries: {other} and {name} differ in case alone, so that they share their files on some disks; '
                'call one of them otherwise'
            )


def check_keys(options):
    """Raise ``OptionError`` if an adversary lacks its network or its loss, or has a key that nobody reads."""
    for key in options.options:
        if key not in HOMES:
            raise OptionError(f'{options.block}{key}: nobody reads this key{did_you_mean(key, HOMES)}')
    for key in NEEDED:
        if not options.get(key):
            present = next((options.where(k) for k in NEEDED if options.get(k)), options.block[:-1])
            raise OptionError(f'{present} is there but {options.where(key)} is not; give both for a GAN, or neither')


def check_name_of_regularizer(name, where):
    """Raise ``OptionError`` if a regularizer cannot be called ``name`` in the log and in a training state."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OptionError(f'{where}: a name has to be of letters, digits and _, for the log')
    if name in ('real', 'fake') or hasattr(nn.ModuleDict(), name):
        raise OptionError(f'{where}: the name {name} is taken; call the regularizer otherwise, such as r1')
