"""The memory of a process that trains on the CPU."""

import ctypes
import sys

#: parameters of mallopt(3), as in malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
#: bytes by which the heap grows at least; and a number that is above all it can have free at its end
GROWTH, ENDLESS = 64 * 2**20, 2**31 - 1


def keep_freed_memory():
    """Let this process keep the memory that it frees. Returns whether the C library can (glibc's can).

    Large tensors live in memory of their own, which glibc gives back as soon as they are gone, so that each step has to
    have its maps filled with zeros by the system once more: a tenth of the time of a step of large batches. Kept, they
    serve the next step. The peak of a process stays as it is, within a few hundredths; it is given back at the end.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform == 'linux' else None
    wishes = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, ENDLESS), (M_TOP_PAD, GROWTH))
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in wishes)
