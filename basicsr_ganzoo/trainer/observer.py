"""The interface of what watches a training: a progress bar, records of its metrics, a report page."""


class Observer:
    """Receives the events of a training, in its first process only. A subclass overrides the hooks that it needs."""

    def on_start(self, opt, iteration):
        """Training is about to continue after ``iteration``; ``opt`` are the completed options."""

    def on_step(self, iteration, model, seconds, data_seconds):
        """A step has ended. The times are means: of a step, and of waiting for data in a step."""

    def on_log(self, iteration, log):
        """A line of the log was printed, every ``logger.print_freq`` iterations, with the model's metrics ``log``."""

    def on_validation(self, iteration, data_set, metrics):
        """The dataset of this name was validated; ``metrics`` is empty if none was computed."""

    def on_end(self):
        """Training has ended, successfully or not."""
