"""How a file gets to its place whole or not at all."""

import contextlib
import os


@contextlib.contextmanager
def whole_file(path):
    """Give a path to write to; the file gets its name ``path`` only when the block has ended well."""
    part = path.with_name(f'.part-{path.name}')
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
