"""Steps whose numbers are not finite: they are skipped and named, and they do not reach a checkpoint."""

import math

import torch
from basicsr.utils import get_root_logger

from basicsr_ganzoo.config.build import check_whole_number
from basicsr_ganzoo.engine.ema import copy_all
from basicsr_ganzoo.errors import DivergedError

#: prefixes of the numbers that have to be finite for a step to count: losses and norms of gradients
GUARDED = ('l_', 'grad_')
#: so many of a step's bad numbers are told; where one is bad, most that follow it are
TOLD = 3


def is_guarded(name):
    """Whether a number of a step has to be finite for the step to count."""
    return name.startswith(GUARDED)


class StepGuard:
    """Counts the bad steps in a row, names them, and ends a training that does not recover.

    Args:
        max_bad_steps: so many bad steps in a row stop the training.
    """

    def __init__(self, max_bad_steps=10):
        check_whole_number('train.max_bad_steps', 'the number of steps', max_bad_steps)
        self.max_bad_steps = max_bad_steps
        self.last_good = {}
        self.bad_steps = 0

    def accepts(self, numbers, iteration):
        """Whether all losses and gradients of a step are finite."""
        guarded = {name: value for name, value in numbers.items() if is_guarded(name)}
        if not all(map(math.isfinite, guarded.values())):
            return False
        self.last_good.update((name, (value, iteration)) for name, value in guarded.items())
        self.bad_steps = 0
        return True

    def complain(self, numbers, iteration):
        """Name a step that was not accepted in the log.

        Raises:
            DivergedError: this is the last of ``max_bad_steps`` bad steps in a row.
        """
        self.bad_steps += 1
        told = self._tell(numbers)
        if self.bad_steps >= self.max_bad_steps:
            raise DivergedError(
                f'iteration {iteration}: {told}, in {self.bad_steps} iterations in a row (train.max_bad_steps); '
                'lower lr, set train.grad_clip_g and grad_clip_d, and go on with --auto_resume: what is saved is '
                'finite, but if the newest state is bad already, take an earlier one as path.resume_state'
            )
        get_root_logger().warning(f'iteration {iteration} is skipped: {told}')

    def _tell(self, numbers):
        bad = [name for name, value in numbers.items() if is_guarded(name) and not math.isfinite(value)]
        told = ', '.join(self._tell_one(name, numbers[name]) for name in bad[:TOLD])
        return f'{told}, and {len(bad) - TOLD} more' if len(bad) > TOLD else told

    def _tell_one(self, name, value):
        if name not in self.last_good:
            return f'{name} is {value}'
        good, iteration = self.last_good[name]
        return f'{name} is {value} (last good {good:.4g} at iteration {iteration})'


class BufferKeeper:
    """Keeps the buffers of networks, such as the statistics of batch norm, as the last good step left them."""

    def __init__(self, *modules):
        buffers = {id(b): b for module in modules for b in module.buffers()}
        self.buffers = list(buffers.values())
        self.kept = [b.clone() for b in self.buffers]

    @torch.no_grad()
    def keep(self):
        """Remember the buffers as they are."""
        copy_all(self.kept, self.buffers)

    @torch.no_grad()
    def restore(self):
        """Undo what happened to the buffers since :meth:`keep`."""
        copy_all(self.buffers, self.kept)

    @torch.no_grad()
    def settle(self, bad):
        """Restore them where ``bad``, a 0-dim tensor, is 1, and keep them where it is 0, without reading it."""
        copy_all(self.buffers, self.kept, unless=1 - bad)
        copy_all(self.kept, self.buffers)


def clip_gradients(parameters, max_norm=None):
    """The norm of all gradients together, 0-dim, and above ``max_norm`` (None: no bound) scale them down to it."""
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf)


def check_finite(net, label):
    """Raise ``DivergedError`` if a weight or a buffer of ``net`` is not finite, so that it is not saved."""
    for name, tensor in net.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise DivergedError(f'{name} of {label} is not finite, so it is not saved; earlier checkpoints are finite')
