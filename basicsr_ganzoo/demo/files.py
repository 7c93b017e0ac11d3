"""The folder of a demo: may we write to it."""

import os

from basicsr_ganzoo.errors import OptionError

FIRST, LAST = 'demo_l1.yml', 'report.json'  # of the files that a demo writes


def check_folder(out):
    """Raise ``OptionError`` unless ``out`` can be made, is empty, or holds a former demo. Writes nothing."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise OptionError(f'--out {out} cannot be a folder, because {there} is a file; give another --out')
    if not os.access(there, os.W_OK | os.X_OK):
        raise OptionError(f'--out {out} cannot be written: no permission to write to {there}; give another --out')
    if out.is_dir() and any(out.iterdir()) and not any((out / name).is_file() for name in (FIRST, LAST)):
        raise OptionError(f'--out {out} holds other files and no former demo (no {LAST}); give another --out')


def make_folder(out):
    """Make ``out`` and what it lies in, or raise ``OptionError``."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f'--out {out} cannot be made: {error.strerror}; give another --out') from error
