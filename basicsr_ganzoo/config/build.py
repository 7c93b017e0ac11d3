"""Turning blocks of an option file into objects, with errors that their author understands."""

import inspect
import math
from collections.abc import Mapping
from numbers import Integral

from basicsr_ganzoo.config.signature import name_errors, value_errors
from basicsr_ganzoo.errors import OptionError, did_you_mean


def check_choice(owner, name, value, choices):
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    if value not in list(choices):  # a list also takes what cannot be hashed
        allowed = ', '.join(map(str, choices))
        raise ValueError(f'{owner} needs {name} to be one of {allowed}, got {value!r}{did_you_mean(value, choices)}')


def is_number(value):
    """Whether ``value`` is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_number(owner, name, value, minimum=-math.inf, maximum=math.inf):
    """Raise ``ValueError`` unless ``value`` is a finite number from ``minimum`` to ``maximum``."""
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f'{owner} needs {name} to be a number such as 0.1, got {value!r}')
    if not minimum <= value <= maximum:
        bounds = f'of at least {minimum:g}' if maximum == math.inf else f'from {minimum:g} to {maximum:g}'
        raise ValueError(f'{owner} needs {name} to be a number {bounds}, got {value!r}')


def check_whole_number(owner, name, value, minimum=1):
    """Raise ``OptionError`` unless ``value`` is a whole number from ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise OptionError(f'{owner} needs {name} to be a whole number from {minimum}, got {value!r}')


def check_arguments(entry, options):
    """Check the names and values of ``options`` against the signature of ``entry``, by :mod:`.signature`.

    Raises:
        OptionError: an option that ``entry`` does not take, one that it requires and that is missing, or a value that
            does not fit.
    """
    for _, message in name_errors(entry, options):
        raise OptionError(message)
    for name, needed in value_errors(entry, options):
        raise OptionError(f'{entry.__name__} needs {name} to be {needed}')


def call_parameters(entry):
    """The names of the arguments that an object takes when it is called; of a module those of ``forward``."""
    return list(inspect.signature(getattr(entry, 'forward', entry)).parameters) if callable(entry) else []


def construct(entry, options):
    """Call ``entry`` with ``options``, after :func:`check_arguments`."""
    check_arguments(entry, options)
    return entry(**options)


def lookup(registry, name):
    """The entry ``name`` of one of BasicSR's registries, with BasicSR's fallback to the name with ``_basicsr``.

    Raises:
        OptionError: nothing of this name is registered.
    """
    known = dict(iter(registry))
    if not isinstance(name, str):
        raise OptionError(f'a type needs to be the name of something registered, got {name!r}; see `ganzoo list`')
    for candidate in (name, f'{name}_basicsr'):
        if candidate in known:
            return known[candidate]
    raise OptionError(f'nothing is registered as {name!r}{did_you_mean(name, known)}; see `ganzoo list`')


def build(registry, block, where):
    """Build what ``block`` (a mapping with ``type`` and arguments) of an option file describes.

    Args:
        registry: one of BasicSR's registries.
        block: the mapping; it is not changed.
        where: the key of the block, such as ``train.gan_opt``, for messages.

    Raises:
        OptionError: the block is no such mapping, or its type or arguments are wrong.
    """
    if not isinstance(block, dict) or 'type' not in block:
        raise OptionError(f'{where} needs to be a mapping with a type, got {block!r}')
    options = {key: value for key, value in block.items() if key != 'type'}
    try:
        return construct(lookup(registry, block['type']), options)
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise OptionError(f'{where}: {error}') from error


def gt_size(opt):
    """The side in pixels of the images that an option file trains with."""
    size = opt.get('gt_size') or (opt['datasets']['train'] if isinstance(opt.get('datasets'), Mapping) else {}).get(
        'gt_size'
    )
    if not size:
        raise OptionError('datasets.train.gt_size is missing, so that the size of the images is not known')
    return size
