"""How a file gets to its place whole or not at all."""

import contextlib
import errno
import os

from basicsr_ganzoo.errors import OptionError

PART = '.part-'
#: what the system says of a full disk, a full quota, and a file that has become too large
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def whole_file(path, durable=False):
    """Give a path to write to; the file gets its name ``path`` only when the block has ended well.

    Args:
        path: where the file belongs.
        durable: wait until it is on the disk, so that it is whole after a power cut too.
    """
    part = path.with_name(f'{PART}{path.name}')
    try:
        yield part
        if durable:
            flush(part)
        os.replace(part, path)
        if durable:
            flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def flush(path):
    """Wait until a file, or the names in a folder, are on the disk; Windows cannot wait for a folder."""
    if os.name == 'nt' and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_whole(content, path):
    """``torch.save`` after which ``path`` is on the disk and whole, or what it was before.

    Raises:
        OptionError: it cannot be written, because the disk is full or the folder is not writable.
    """
    import torch

    try:
        with whole_file(path, durable=True) as part:
            torch.save(content, part)
    except (OSError, RuntimeError) as error:  # torch makes a RuntimeError of a full disk
        raise unsaved(path, error) from error


def unsaved(path, error):
    """The sentence about a checkpoint's file that cannot be written."""
    reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())
    return OptionError(
        f'cannot write {path}: {reason}; the checkpoint before is whole: make room there, or make the folder '
        'writable, and go on with --auto_resume'
    )
