"""The memory of a process that trains on the CPU."""

import ctypes
import sys

#: parameters of mallopt(3), as in malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
#: the smallest number of bytes by which the heap grows; and a number above all that can be free at its end
GROWTH, ENDLESS = 64 * 2**20, 2**31 - 1


def keep_freed_memory():
    """Let this process keep the memory that it frees. Returns whether the C library supports it (glibc does).

    glibc maps large tensors separately and returns their memory to the system when they are freed, so the system must
    fill the pages with zeros again in each step: a tenth of the time of a step of large batches. Memory that is kept
    serves the next step. The peak of a process changes by a few hundredths at most.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform == 'linux' else None
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, ENDLESS), (M_TOP_PAD, GROWTH))
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in settings)
