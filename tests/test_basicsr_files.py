"""The installed BasicSR is one whose source is known: PyPI's release, or its GitHub master as my-basicsr."""

import hashlib
import importlib.metadata
from pathlib import Path

import basicsr

# SHA-256 over the names and the text of the Python files, see digest()
RELEASE = '76f4cf41f069a4b439cc47f421c74f050f1cba2ee5b7a18418e1bc9a72326ffe'  # basicsr 1.4.2 on PyPI
MASTER = '28a7c958a3c8f3322c79a14f0b1c27f21385f83aa73c6236b6aaf414f7e67181'  # commit 8d56e3a, my-basicsr 1.4.2
#: setup.py writes it, with the time of the build
GENERATED = 'version.py'


def digest(folder):
    """SHA-256 over the names and the text of all Python files; how their lines end makes no difference."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.py'))
    found = hashlib.sha256()
    for name in names:
        if name != GENERATED:
            text = (folder / name).read_bytes().replace(b'\r\n', b'\n')
            found.update(name.encode() + b'\0' + text + b'\0')
    return found.hexdigest()


def test_the_python_files_of_basicsr_are_the_known_ones():
    """A clone of BasicSR's master is installed as ``basicsr``, too."""
    distributions = {distribution.name for distribution in importlib.metadata.distributions()}
    assert distributions & {'basicsr', 'my-basicsr'}
    known = {MASTER} if 'my-basicsr' in distributions else {RELEASE, MASTER}
    assert digest(Path(basicsr.__file__).parent) in known


def test_the_digest_sees_a_changed_a_renamed_and_an_added_file_but_not_how_lines_end(tmp_path):
    folder = tmp_path / 'basicsr'
    folder.mkdir()
    (folder / 'a.py').write_bytes(b'one\ntwo\n')
    (folder / GENERATED).write_bytes(b'# today\n')
    first = digest(folder)
    (folder / 'a.py').write_bytes(b'one\r\ntwo\r\n')
    (folder / GENERATED).write_bytes(b'# tomorrow\n')
    assert digest(folder) == first
    (folder / 'a.py').write_bytes(b'one\nthree\n')
    changed = digest(folder)
    (folder / 'a.py').rename(folder / 'b.py')
    renamed = digest(folder)
    (folder / 'c.py').write_bytes(b'')
    assert len({first, changed, renamed, digest(folder)}) == 4
