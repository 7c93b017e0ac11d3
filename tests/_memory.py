"""How much autograd keeps for backward passes."""

import contextlib
import weakref
from types import SimpleNamespace

import torch


class _Packed:
    """A tensor that autograd keeps; it is dropped as soon as its graph is."""

    def __init__(self, tensor):
        self.tensor = tensor


@contextlib.contextmanager
def peak_of_saved_tensors():
    """Gives an object whose ``bytes`` is, in the end, the largest sum of storages that were kept at a time.

    Each storage counts once, however many tensors show it; weights are left out, since they are there anyway.
    """
    peak, holders, now = SimpleNamespace(bytes=0), {}, 0

    def pack(tensor):
        nonlocal now
        packed = _Packed(tensor)
        if tensor.is_leaf and isinstance(tensor, torch.nn.Parameter):
            return packed
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        holders[key] = holders.get(key, 0) + 1
        now += size if holders[key] == 1 else 0
        peak.bytes = max(peak.bytes, now)
        weakref.finalize(packed, drop, key, size)
        return packed

    def drop(key, size):
        nonlocal now
        holders[key] -= 1
        now -= 0 if holders[key] else size

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
        yield peak
