"""Finds images: in folder trees, meta files and lmdb."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from basicsr_ganzoo.data.picture import EXTENSIONS, size_of
from basicsr_ganzoo.errors import OptionError, PictureError

_NAME = '.+\\.(?:' + '|'.join(extension[1:] for extension in EXTENSIONS) + ')'
_PAIR = re.compile(rf'({_NAME}),\s+({_NAME})\s*', re.IGNORECASE)
_FIRST_COLUMN = re.compile(rf'({_NAME})(?:\s.*)?', re.IGNORECASE)
_LMDB_LINE = re.compile(r'(.+)\.png \((\d+),(\d+),\d+\)')


class LazyImage(NamedTuple):
    """An image that is not read yet: a path, or a key of the lmdb ``client``, whose list gives its ``size``."""

    path: str
    client: str = 'default'
    size: tuple[int, int] | None = None

    def __deepcopy__(self, memo):
        return self

    def measure(self):
        """The size (H, W), or the PictureError that says why it is unknown."""
        try:
            return self.size or size_of(self.path)
        except PictureError as error:
            return error


def folders(value, name):
    """The folders of an option whose value is one folder or a list of folders.

    Raises:
        OptionError: one of them does not exist.
    """
    values = value if isinstance(value, list) else [value]
    found = [os.path.expanduser(str(folder)).rstrip('/') or '/' for folder in values]
    for folder in found:
        if not os.path.isdir(folder):
            raise OptionError(f'{name}: there is no folder {folder}; relative ones are looked for in {os.getcwd()}')
    return found


def meta_files(value, roots):
    """The meta file of each root, or a list of None: one file for one root, a list for several."""
    files = value if isinstance(value, list) else [value]
    if value is None:
        return [None] * len(roots)
    if any(root.endswith('.lmdb') for root in roots):
        raise OptionError('meta_info does not go with .lmdb folders, which list their images themselves')
    if len(files) != len(roots):
        raise OptionError(f'meta_info names {len(files)} files for {len(roots)} folders; give each folder its own')
    return [os.path.expanduser(str(file)) for file in files]


def pictures_under(root, other=None):
    """All images of a folder tree or an lmdb by relative name, without those below the folder ``other``.

    Raises:
        OptionError: there are none.
    """
    if root.endswith('.lmdb'):
        return _pictures_in_lmdb(root)
    above = (os.path.realpath(other),) if other else ()
    found = {os.path.relpath(path, root): LazyImage(path) for path in _walk(root, above)}
    if not found:
        raise OptionError(f'{root} holds no images ({" ".join(EXTENSIONS)}), nor does any folder in it')
    return found


def _walk(folder, above):
    """Sorted paths of images. Follows links, but not back into a folder ``above``."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith('.'):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, (*above, real))
        elif entry.name.lower().endswith(EXTENSIONS):
            yield entry.path


def _pictures_in_lmdb(root):
    matches = [_LMDB_LINE.match(line) for line in read_lines(os.path.join(root, 'meta_info.txt'))]
    if None in matches or not matches:
        raise OptionError(f'{root}/meta_info.txt is not as BasicSR writes it: NAME.png (H,W,C) LEVEL')
    return {f'{key}.png': LazyImage(key, root, (int(h), int(w))) for key, h, w in (match.groups() for match in matches)}


def read_lines(path):
    """The lines of a meta file that are not blank.

    Raises:
        OptionError: the file cannot be read, is no text, or has only blank lines.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding='utf-8-sig').split('\n')]
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f'meta_info: cannot read {path}: {error}') from error
    if not any(lines):
        raise OptionError(f'meta_info: {path} lists no images')
    return [line for line in lines if line]


def names_in_line(line):
    """``(gt, lq)`` or ``(gt,)`` from a line of a meta file. Names may contain spaces; a second column is dropped."""
    match = _PAIR.fullmatch(line) or _FIRST_COLUMN.fullmatch(line)
    return match.groups() if match else (line,)
