"""The output folder of the demo."""

import os

from basicsr_ganzoo.errors import OptionError

FIRST, LAST = 'demo_l1.yml', 'report.json'  # of the files that a demo writes


def check_folder(out):
    """Raise ``OptionError`` unless ``out`` can be created, is empty, or holds an earlier demo. Writes nothing."""
    existing = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise OptionError(f'--out {out} cannot be a folder, because {existing} is a file; give another --out')
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OptionError(f'--out {out} cannot be written: no permission to write to {existing}; give another --out')
    if out.is_dir() and any(out.iterdir()) and not any((out / name).is_file() for name in (FIRST, LAST)):
        raise OptionError(f'--out {out} holds other files and no earlier demo (no {LAST}); give another --out')


def make_folder(out):
    """Create ``out`` and its parents, or raise ``OptionError``."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f'--out {out} cannot be created: {error.strerror}; give another --out') from error
