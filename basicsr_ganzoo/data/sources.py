"""Where pictures come from: folder trees, meta files and lmdb."""

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


class Picture(NamedTuple):
    """A file, or a key of an lmdb; ``client`` is FileClient's name of that lmdb, and ``size`` what its list says."""

    path: str
    client: str = 'default'
    size: tuple[int, int] | None = None

    def __deepcopy__(self, memo):
        return self

    def measure(self):
        """(H, W), or the PictureError that says why there is none."""
        try:
            return self.size or size_of(self.path)
        except PictureError as error:
            return error


def folders(value, name):
    """The folders of an option that is one folder or a list of them.

    Raises:
        OptionError: one of them is not there.
    """
    values = value if isinstance(value, list) else [value]
    found = [os.path.expanduser(str(folder)).rstrip('/') or '/' for folder in values]
    for folder in found:
        if not os.path.isdir(folder):
            raise OptionError(f'{name}: there is no folder {folder}; relative ones are looked for in {os.getcwd()}')
    return found


def meta_files(value, roots):
    """The meta file of each root, or None for each; one file for one root, a list of them for a list."""
    files = value if isinstance(value, list) else [value]
    if value is None:
        return [None] * len(roots)
    if any(root.endswith('.lmdb') for root in roots):
        raise OptionError('meta_info does not go with .lmdb folders, which list their pictures themselves')
    if len(files) != len(roots):
        raise OptionError(f'meta_info names {len(files)} files for {len(roots)} folders; give each folder its own')
    return [os.path.expanduser(str(file)) for file in files]


def pictures_under(root, other=None):
    """All pictures of a tree, or of an lmdb, by relative name, without those of the folder ``other``.

    Raises:
        OptionError: there is none.
    """
    if root.endswith('.lmdb'):
        return _pictures_in_lmdb(root)
    above = (os.path.realpath(other),) if other else ()
    found = {os.path.relpath(path, root): Picture(path) for path in _walk(root, above)}
    if not found:
        raise OptionError(f'{root} holds no pictures ({" ".join(EXTENSIONS)}), nor does any folder in it')
    return found


def _walk(folder, above):
    """Paths of pictures, sorted. Follows links, but not back into a folder ``above``."""
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
    return {f'{key}.png': Picture(key, root, (int(h), int(w))) for key, h, w in (match.groups() for match in matches)}


def read_lines(path):
    """The lines of a meta file that are not blank.

    Raises:
        OptionError: there is no such file, or it is no text, or has no such line.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding='utf-8-sig').split('\n')]
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f'meta_info: cannot read {path}: {error}') from error
    if not any(lines):
        raise OptionError(f'meta_info: {path} lists no pictures')
    return [line for line in lines if line]


def names_in_line(line):
    """``(gt, lq)`` or ``(gt,)`` of a line of a meta file. Names may have spaces; a second column is dropped."""
    match = _PAIR.fullmatch(line) or _FIRST_COLUMN.fullmatch(line)
    return match.groups() if match else (line,)
