"""Meters of a training step: live bytes, FLOPs, CPU time and wall time."""

import contextlib
import time
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from basicsr_ganzoo.engine.cost import FlopCounter


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that were made inside ``with``, and are alive: ``now``, and at most ``peak``.

    A storage counts once, however many tensors show it, until it is freed, also outside. What an operator allocates
    for itself alone is not seen. ``now`` goes on where it was when the meter is entered again.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        shown = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage._cdata not in self._known and storage._cdata not in shown:
                self._take(storage)
        return out

    def _take(self, storage):
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, size).atexit = False

    def _drop(self, key, size):
        self._known.discard(key)
        self.now -= size


def _storages(tree):
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Contestant:
    """A model in the race: it is built, and its first steps are taken, under the meters; later ones are timed.

    Args:
        name: for the report.
        build: makes the model.
        batches: what the model is fed, one batch for each step.
        first: the iteration of the first step.
    """

    def __init__(self, name, build, batches, first=1):
        self.name = name
        self.iteration = first - 1
        self.batches = batches
        self.cpu, self.wall, self.losses = [], [], []
        self.bytes, self.flops = self._measured(build)

    def _measured(self, build):
        live, flops = LiveBytes(), FlopCounter()
        with live:
            self.model = build()
            if self.compiled:
                self.compiled.enabled = False  # meters see no compiled operator
            self._step()  # it makes the state of the optimizers
            live.peak = live.now
            with flops:
                self._step()
        return live.peak, flops.total

    @property
    def compiled(self):
        """What compiles the model's networks; None if nothing does."""
        steps = getattr(getattr(self.model, 'precision', None), 'compiled', None)
        return steps if steps and steps.arguments is not None else None

    def settle(self):
        """Take the steps in which networks are compiled."""
        if self.compiled:
            self.compiled.enabled = True
            for _ in range(2):
                self._step()

    def take_timed_step(self):
        """Take a step by the clocks."""
        with _clocks(self.model.device) as read:
            self._step()
            cpu, wall = read()
        self.cpu.append(cpu)
        self.wall.append(wall)

    def _step(self):
        self.iteration += 1
        self.model.feed_data(next(self.batches))
        self.model.optimize_parameters(self.iteration)
        self.losses.append(dict(self.model.get_current_log()))


@contextlib.contextmanager
def _clocks(device):
    """Gives a function that reads (CPU time, wall time) in seconds since it was given, when the device is done."""

    def wait():
        if device.type == 'cuda':
            torch.cuda.synchronize(device)

    wait()
    cpu, wall = time.process_time(), time.perf_counter()

    def read():
        wait()
        return time.process_time() - cpu, time.perf_counter() - wall

    yield read
