"""What a check reports about an option file, and how checks look into it."""

from dataclasses import asdict, dataclass

LONGEST_WORD = 200  # a path may be this long


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
    """A message of anybody's on one line, without its key, and with words of any length cut."""
    words = (word if len(word) <= LONGEST_WORD else f'{word[: LONGEST_WORD - 3]}...' for word in str(message).split())
    return ' '.join(words).removeprefix(f'{key}: ')


def dotted(path):
    """The dotted key of a path of names and indices, such as ``train.views[0].type``."""
    return ''.join(f'[{step}]' if isinstance(step, int) else f'.{step}' for step in path).removeprefix('.')


def is_wrong(found, key):
    """Whether ``found`` has an error about ``key`` or a key below it."""
    return any(finding.level == 'error' and is_below(finding.key, key) for finding in found)


def is_below(key, other):
    """Whether ``key`` is ``other`` or below it."""
    return f'{key}.'.startswith((f'{other}.', f'{other}['))


def get(opt, dotted_key, default=None):
    """The value of ``a.b.c`` in nested mappings, or ``default`` where a level is missing or None."""
    for key in dotted_key.split('.'):
        opt = opt.get(key) if isinstance(opt, dict) else None
    return default if opt is None else opt
