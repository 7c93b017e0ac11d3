"""What a check reports, and how checks look into an option file."""

from dataclasses import asdict, dataclass

from basicsr_ganzoo.errors import OptionError


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


def is_wrong(found, key):
    """Whether ``found`` has an error about ``key`` or a key below it."""
    return any(f.level == 'error' and f'{f.key}.'.startswith((f'{key}.', f'{key}[')) for f in found)


def adversaries(opt):
    """The adversaries of an option file; none where they cannot be told, which :mod:`.adversaries` reports."""
    from basicsr_ganzoo.adversarial.options import adversaries_of

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
