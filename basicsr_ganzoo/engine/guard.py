"""Steps that are not finite are skipped and named, and do not reach a checkpoint."""

import math

import torch
from basicsr.utils import get_root_logger

from basicsr_ganzoo.config.build import check_whole_number
from basicsr_ganzoo.errors import DivergedError

#: prefixes of the metrics that must be finite for a step to count: losses and norms of gradients
GUARDED = ('l_', 'grad_')
#: how many of a step's bad metrics a message names; where one is bad, most that follow it are
MAX_NAMED = 3


def not_finite(metrics):
    """The names of the losses and gradient norms among a step's metrics that are not finite."""
    return [name for name, value in metrics.items() if name.startswith(GUARDED) and not math.isfinite(value)]


class StepGuard:
    """Counts bad steps in a row, names them, and ends a training that does not recover.

    Args:
        max_bad_steps: this many bad steps in a row end the training.
    """

    def __init__(self, max_bad_steps=10):
        check_whole_number('train.max_bad_steps', 'the number of steps', max_bad_steps)
        self.max_bad_steps = max_bad_steps
        self.last_good = {}
        self.bad_steps = 0

    def accept(self, metrics, iteration):
        """Record a finite step."""
        self.last_good.update((name, (value, iteration)) for name, value in metrics.items() if name.startswith(GUARDED))
        self.bad_steps = 0

    def reject(self, metrics, iteration):
        """Log which metrics of a step are not finite.

        Raises:
            DivergedError: this is the last of ``max_bad_steps`` bad steps in a row.
        """
        self.bad_steps += 1
        reason = self._describe(metrics)
        if self.bad_steps >= self.max_bad_steps:
            raise DivergedError(
                f'iteration {iteration}: {reason}, in {self.bad_steps} iterations in a row (train.max_bad_steps); '
                'lower lr, set train.grad_clip_g and grad_clip_d, and go on with --auto_resume: saved checkpoints are '
                'finite, but if the newest one is already bad, set path.resume_state to an earlier one'
            )
        get_root_logger().warning(f'iteration {iteration} is skipped: {reason}')

    def _describe(self, metrics):
        bad = not_finite(metrics)
        named = ', '.join(self._describe_one(name, metrics[name]) for name in bad[:MAX_NAMED])
        return f'{named}, and {len(bad) - MAX_NAMED} more' if len(bad) > MAX_NAMED else named

    def _describe_one(self, name, value):
        if name not in self.last_good:
            return f'{name} is {value}'
        good, iteration = self.last_good[name]
        return f'{name} is {value} (last good {good:.4g} at iteration {iteration})'


def clip_gradients(parameters, max_norm=None):
    """The norm of all gradients together, 0-dim; above ``max_norm`` (None: no bound) they are scaled down to it."""
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf)


def check_finite(net, label):
    """Raise ``DivergedError`` if a weight or a buffer of ``net`` is not finite, so that it is not saved."""
    for name, tensor in net.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise DivergedError(f'{name} of {label} is not finite, so it is not saved; earlier checkpoints are finite')
