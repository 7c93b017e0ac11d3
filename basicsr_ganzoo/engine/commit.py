"""Whether a step updates the networks: decided on the host, or on the device without waiting for it."""

import functools
import math
from collections import OrderedDict

import torch

from basicsr_ganzoo.engine.guard import is_guarded
from basicsr_ganzoo.engine.optimizers import skips_on_device


class StepNumbers:
    """The numbers of a step, the same on all ranks, which stay on the device until they are read.

    Args:
        log: 0-dim tensors by name.
        iteration: of the training.
        scale: the loss scale with which the step was played.
        world_size: ranks over which to take means; None without ranks.
    """

    reported = False

    def __init__(self, log, iteration, scale=1.0, world_size=None):
        self.order, self.iteration, self.scale = list(log), iteration, scale
        self.guarded = [name for name in log if is_guarded(name)]
        self.names = self.guarded + [name for name in log if not is_guarded(name)]
        self.stacked = torch.stack([log[name].float() for name in self.names])
        if world_size:
            torch.distributed.all_reduce(self.stacked)
            self.stacked /= world_size
        self._on_host, self._arrived, self._read = self.stacked, None, None

    @classmethod
    def of_state(cls, state):
        """The numbers that :meth:`state_dict` gave."""
        log = {name: torch.tensor(value, dtype=torch.float64) for name, value in state['numbers'].items()}
        step = cls(log, state['iteration'], state['scale'])
        step._read, step.reported = OrderedDict(state['numbers']), True
        return step

    def state_dict(self):
        """What a resume needs: numbers and texts."""
        return {'numbers': dict(self.read()), 'iteration': self.iteration, 'scale': self.scale}

    def bad(self):
        """1.0 if a loss or the norm of a gradient is not finite, else 0.0: 0-dim, on the device."""
        return 1 - self.stacked[: len(self.guarded)].isfinite().all().float()

    def send(self):
        """Let a copy set out for the host, for :meth:`read` to find there."""
        if self.stacked.device.type == 'cuda':
            self._on_host = torch.empty_like(self.stacked, device='cpu', pin_memory=True)
            self._on_host.copy_(self.stacked, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self):
        """The numbers as floats by name. Waits for what the device had to do up to this step, and for nothing else."""
        if self._read is None:
            if self._arrived:
                self._arrived.synchronize()
            values = dict(zip(self.names, self._on_host.tolist(), strict=True))
            self._read = OrderedDict((name, values[name]) for name in self.order)
        return self._read

    @functools.cached_property
    def good(self):
        """Whether all losses and norms of gradients are finite."""
        numbers = self.read()
        return all(math.isfinite(numbers[name]) for name in self.guarded)


class DecisionOnHost:
    """Reads the numbers of a step and then updates the networks, or puts their buffers back.

    Args:
        model: has adversaries, buffers, guard, health, precision and ``update(train_g, bad)``.
    """

    def __init__(self, model):
        self.model = model
        self.numbers = OrderedDict()

    def take(self, step, train_g):
        """Let a step take effect, whose gradients are there.

        Raises:
            DivergedError: it is the last of too many bad ones.
        """
        if step.good:
            self.model.update(train_g)
            self.model.buffers.keep()
        else:
            self.model.buffers.restore()
        self._follow(step)
        self._report(step)

    def log(self):
        """The numbers of the last step as floats by name."""
        return self.numbers

    def state_dict(self):
        """The step that nothing follows yet; here there is none."""
        return {}

    def load_state_dict(self, state):
        """Go on after the step that :meth:`state_dict` of either way of deciding gave."""
        if state:
            self._follow(StepNumbers.of_state(state))

    def _follow(self, step):
        """Let what sets the next steps follow this one: the loss scale, and the adversaries' weights and pauses."""
        if not step.good:
            self.model.precision.forgives(step.iteration, step.scale)
            return
        self.model.precision.accept()
        for adversary in self.model.adversaries.values():
            adversary.observe(own_numbers(step.read(), adversary.suffix))

    def _report(self, step):
        """Tell the guard, the health report and the log of a step, once."""
        if step.reported:
            return
        step.reported, self.numbers = True, OrderedDict(step.read())
        if self.model.guard.accepts(self.numbers, step.iteration):
            if self.model.health:
                self.numbers.update(self.model.health.observe(step.read(), step.iteration))
        elif step.scale <= 1:  # else it is but the sign of too large a scale
            self.model.guard.complain(self.numbers, step.iteration)


class DecisionOnDevice(DecisionOnHost):
    """Lets the device decide, by a number that never leaves it, so that the host can queue the next step meanwhile.

    The numbers of a step are read when the next one is queued, or when the log is asked for. So a training that
    diverges stops one step later than with :class:`DecisionOnHost`, and the loss scale, weights that hold rho and the
    pauses of a strong D follow one step later; what is bad is skipped in the meantime as well. Neither the log nor
    validating nor saving changes that.
    """

    pending = None

    def take(self, step, train_g):
        bad = step.bad()
        step.send()
        self.model.buffers.settle(bad)
        self.model.update(train_g, bad)
        before, self.pending = self.pending, step
        if before:
            self._follow(before)
            self._report(before)

    def log(self):
        if self.pending:
            self._report(self.pending)
        return self.numbers

    def state_dict(self):
        return self.pending.state_dict() if self.pending else {}

    def load_state_dict(self, state):
        self.pending = StepNumbers.of_state(state) if state else None


def decision_of(model):
    """The way of deciding for a model: on the device where that is a GPU and all optimizers can skip a step there."""
    on_device = model.device.type == 'cuda' and all(map(skips_on_device, model.optimizers))
    return (DecisionOnDevice if on_device else DecisionOnHost)(model)


def own_numbers(numbers, suffix):
    """The numbers of one adversary, without its suffix."""
    return {name.removesuffix(suffix): value for name, value in numbers.items() if name.endswith(suffix)}
