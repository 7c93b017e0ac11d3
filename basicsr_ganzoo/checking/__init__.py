"""Everything that is wrong with an option file, found before training starts and without writing anything."""

import contextlib
import io
import logging
from dataclasses import asdict, dataclass

from basicsr_ganzoo._options import OptionError


@dataclass(frozen=True)
class Finding:
    """One thing to know: ``level`` is error or warning, ``key`` the dotted key, ``message`` value, rule and way out."""

    level: str
    key: str
    message: str

    def __str__(self):
        return f'{self.key}: {self.message}'

    as_dict = asdict


def error(key, message):
    """A finding that stops training."""
    return Finding('error', key, _sentence(key, message))


def warning(key, message):
    """A finding that lets training start."""
    return Finding('warning', key, _sentence(key, message))


def _sentence(key, message):
    return ' '.join(str(message).split()).removeprefix(f'{key}: ')


def check_options(opt):
    """All findings about an option file, errors first.

    Args:
        opt: the content of the file, as ``yaml.safe_load`` gives it; it is not changed.
    """
    from basicsr_ganzoo.checking import blocks, effects, files, games, keys, rules, shapes, speed, validating, values

    with _silent_basicsr():
        found = list(values.structure(opt))
        parts = (keys, values, blocks, rules, effects, validating, games, speed, shapes, files)
        for part in parts if not found else ():
            found += part.check(opt, found) if part in (shapes, files) else part.check(opt)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda finding: finding.level != 'error')


def is_wrong(found, key):
    """Whether ``found`` has an error about ``key`` or a key below it."""
    return any(f.level == 'error' and f'{f.key}.'.startswith((f'{key}.', f'{key}[')) for f in found)


@contextlib.contextmanager
def _silent_basicsr():
    """Keep BasicSR silent, and leave its logger as it was.

    Its first use would fix its streams before training has named the log file, and its registry prints.
    """
    from basicsr.utils.logger import initialized_logger

    logger, known = logging.getLogger('basicsr'), dict(initialized_logger)
    before = logger.disabled, logger.propagate, logger.level, logger.handlers[:]
    logger.disabled = True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled, logger.propagate, logger.level, logger.handlers[:] = before
        initialized_logger.clear()
        initialized_logger.update(known)


def adversaries(opt):
    """The adversaries of an option file; none where they cannot be told, which :mod:`.games` reports."""
    from basicsr_ganzoo._adversaries import adversaries_of

    try:
        return adversaries_of(opt)
    except OptionError:
        return []


def paths(opt, key):
    """The dotted keys at which the adversaries of an option file have ``key``, whether they are there or not."""
    return [adversary.where(key) for adversary in adversaries(opt)]


def get(opt, dotted_key, default=None):
    """The value of ``a.b.c`` in nested mappings, or ``default`` where a level is missing or None."""
    for key in dotted_key.split('.'):
        opt = opt.get(key) if isinstance(opt, dict) else None
    return default if opt is None else opt
