"""Writes files atomically: a file is complete, or it is what it was before."""

import contextlib
import errno
import os

from basicsr_ganzoo.errors import OptionError

PART = '.part-'
#: errors for a full disk, an exceeded quota and a file that is too large
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def whole_file(path, durable=False):
    """Yield a temporary path to write to, which is renamed to ``path`` if the block succeeds.

    Args:
        path: of the file.
        durable: wait until the file is on disk, so that it survives a power failure.
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
    """Wait until a file, or the entries of a folder, are on disk; Windows cannot do this for folders."""
    if os.name == 'nt' and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_whole(content, path):
    """Atomic and durable ``torch.save``.

    Raises:
        OptionError: the file cannot be written, because the disk is full or the folder is not writable.
    """
    import torch

    try:
        with whole_file(path, durable=True) as part:
            torch.save(content, part)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())
        raise OptionError(
            f'cannot write {path}: {reason}; the previous checkpoint is complete: free space there, or make the folder '
            'writable, and continue with --auto_resume'
        ) from error
