"""Finds out where a step reads from its device, on a machine without one."""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from basicsr_ganzoo.engine.commit import StepNumbers

#: methods of tensors that hand numbers, or shapes made of numbers, to the host
METHODS = (
    *('item', 'tolist', 'cpu', 'numpy', 'nonzero', 'unique', 'masked_select', 'equal', 'allclose', 'is_nonzero'),
    *('__bool__', '__float__', '__int__', '__index__', '__complex__', '__array__', '__contains__', '__format__'),
)
OPERATORS = ('_local_scalar_dense', 'nonzero', 'masked_select', '_unique2', 'unique_dim', 'equal', 'is_nonzero')


class HostRead(AssertionError):
    """A step has asked the device for a number."""


class _Methods(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, '__name__', '')
        if name in METHODS or (name == 'to' and 'cpu' in [a for a in args if isinstance(a, str)]):
            raise HostRead(f'Tensor.{name}')
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split('.')[0]
        if name in OPERATORS or name.startswith('index') and _counts_a_mask(args):
            raise HostRead(f'aten.{name}')
        return func(*args, **(kwargs or {}))


def _counts_a_mask(args):
    """Whether an index asks where a mask is true; setting a single number there is a fill, which does not."""
    indices = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    masks = any(isinstance(index, torch.Tensor) and index.dtype is torch.bool for index in indices)
    return masks and not (len(args) > 2 and args[2].numel() == 1)


@contextlib.contextmanager
def no_reads(monkeypatch, before=None):
    """Raise ``HostRead`` at any read, but those of the numbers of steps before the iteration ``before``."""
    read = StepNumbers.read

    def allowed(step):
        if before is None or step.iteration >= before:
            return read(step)
        with torch._C.DisableTorchFunction(), torch.utils._python_dispatch._disable_current_modes():
            return read(step)

    with monkeypatch.context() as patch, _Methods(), _Operators():
        patch.setattr(StepNumbers, 'read', allowed)
        yield
