"""When a discriminator skips an update."""

from basicsr_ganzoo.config.build import check_number


class SkipWhenStrong:
    """Skips D's update while D judges more than ``accuracy`` of the images correctly, averaged over some steps.

    A heuristic: a D that is too strong teaches G little. It compares the mean of ``acc_d_real`` and ``acc_d_fake``,
    which are the same on all ranks, so that all ranks decide alike.

    Args:
        accuracy: share above which D is not updated, between 0.5 and 1.
        smoothing: of the accuracy between iterations.
    """

    def __init__(self, accuracy, smoothing=0.9):
        check_number(type(self).__name__, 'accuracy', accuracy, minimum=0.5, maximum=1)
        self.accuracy = accuracy
        self.smoothing = smoothing
        self._mean = 0.5

    @property
    def skips(self):
        """Whether D skips the next update."""
        return self._mean > self.accuracy

    def observe(self, metrics):
        """Take in the accuracies of a step."""
        now = (metrics['acc_d_real'] + metrics['acc_d_fake']) / 2
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * now

    def state_dict(self):
        return {'mean': self._mean}

    def load_state_dict(self, state):
        self._mean = state['mean']
