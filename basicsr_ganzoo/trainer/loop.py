"""The training loop, with BasicSR's log, checkpoints and validation."""

import contextlib
import datetime
import time

from basicsr.utils import AvgTimer, MessageLogger, get_root_logger

from basicsr_ganzoo.basicsr_patches import unchanged_randomness
from basicsr_ganzoo.engine import distributed
from basicsr_ganzoo.errors import BrokenOff, Stopped
from basicsr_ganzoo.trainer.checkpoints import remove_old
from basicsr_ganzoo.trainer.signals import InterruptibleLoader, StopRequest

#: after this many iterations the mean times are stable; waiting for more than this share of the time gives a warning
STABLE_AFTER, MAX_WAITING = 200, 0.2


class Loop:
    """Trains ``model`` up to ``train.total_iter``.

    Args:
        opt: the completed options.
        model: any model with BasicSR's interface.
        data: the :class:`~.loaders.TrainingData`.
        validation: the loaders of the validation sets.
        tb_logger: TensorBoard's writer, or None.
        iteration: number of iterations that are done.
        start: the :class:`~.sampler.EpochPosition` of the next batch.
        observers: each an :class:`~.observer.Observer`.
    """

    def __init__(self, opt, model, data, validation, tb_logger, iteration, start, observers=()):
        self.opt, self.model, self.data, self.validation, self.tb_logger = opt, model, data, validation, tb_logger
        self.first = self.iteration = iteration
        self.start, self.total = start, opt['train']['total_iter']
        self.observers = observers if opt['rank'] == 0 else ()
        self.saved = self.validated = None
        self.warned = False
        self.stop = StopRequest(opt['dist'])
        self.logger = get_root_logger()
        self.messages = MessageLogger(opt, iteration, tb_logger)
        self.data_timer, self.step_timer = AvgTimer(), AvgTimer()

    def run(self):
        """Train, save and validate.

        Raises:
            Stopped: SIGINT or SIGTERM came; the step was finished and saved.
        """
        begun = time.time()
        batches = self.data.batches(self.start, max(self.total - self.iteration, 0))
        with self.stop, self._observed():
            if self.iteration:  # the run may have stopped between the checkpoint and the validation
                self._validate_if_due()
            for batch in batches:
                self._step(batch)
                if self._is_due(self.opt['logger']['save_checkpoint_freq']):
                    self._save()
                self._stop_if_requested()
                self._validate_if_due()
                self.data_timer.start()
                self.step_timer.start()
            self._finish(begun)

    @contextlib.contextmanager
    def _observed(self):
        with contextlib.ExitStack() as started:
            for observer in self.observers:
                observer.on_start(self.opt, self.iteration)
                started.callback(observer.on_end)
            yield

    def _step(self, batch):
        self.data_timer.record()
        self.iteration += 1
        self.model.update_learning_rate(self.iteration, warmup_iter=self.opt['train'].get('warmup_iter', -1))
        self.model.feed_data(batch)
        self.model.optimize_parameters(self.iteration)
        self.step_timer.record()
        if self.iteration == self.first + 1:
            self.messages.reset_start_time()
        if self._is_due(self.opt['logger']['print_freq']):
            self._log()
        times = self.step_timer.get_avg_time(), self.data_timer.get_avg_time()
        for observer in self.observers:
            observer.on_step(self.iteration, self.model, *times)

    def _log(self):
        times = {'time': self.step_timer.get_avg_time(), 'data_time': self.data_timer.get_avg_time()}
        rates = {'lrs': self.model.get_current_learning_rate()}
        progress = {'epoch': self._epoch, 'iter': self.iteration}
        log = self.model.get_current_log()
        self.messages({**progress, **rates, **times, **log})
        for observer in self.observers:
            observer.on_log(self.iteration, log)
        self._warn_of_waiting(times['data_time'] / max(times['time'], 1e-9))

    def _warn_of_waiting(self, share):
        if self.warned or share <= MAX_WAITING or self.iteration - self.first < STABLE_AFTER:
            return
        self.warned = True
        workers = self.data.block['num_worker_per_gpu']
        self.logger.warning(
            f'{share:.0%} of the time is waiting for data; raise datasets.train.num_worker_per_gpu ({workers})'
        )

    def _stop_if_requested(self):
        """Save and raise ``Stopped`` if a signal came to one of the processes."""
        number = distributed.agreed(self.stop.number)
        if number:
            if self.saved != self.iteration:
                self._save()
            raise Stopped(self._stop_message(), number)

    def _validate_if_due(self):
        if self.opt.get('val') and self._is_due(self.opt['val']['val_freq']):
            self._validate()

    def _is_due(self, frequency):
        return self.iteration % frequency == 0

    @property
    def _epoch(self):
        """The epoch of the last batch."""
        return self.start.after(max(self.iteration - self.first - 1, 0)).epoch

    def _save(self):
        """Save a checkpoint; once it is complete, remove those that are too old."""
        position = self.start.after(self.iteration - self.first)
        self.model.loop_state = {'epoch': position.epoch, 'batch': position.batch, **self.data.identity()}
        self.logger.info('Saving models and training states.')
        self.model.save(self._epoch, self.iteration)
        self.saved = self.iteration
        keep = self.opt['logger'].get('keep_last')
        if keep and self.opt['rank'] == 0:
            remove_old(self.opt['path'], self.iteration, keep)

    def _validate(self):
        """Validate in the first process alone, whose generator must not wait for those of the others.

        The random state is restored, because PyTorch's loader draws a number: validation does not change training.
        A signal interrupts validation; a resumed run repeats it.
        """
        wrapped, self.model.net_g = self.model.net_g, self.model.get_bare_model(self.model.net_g)
        try:
            with unchanged_randomness(), contextlib.suppress(BrokenOff):
                for loader in self.validation:
                    self._validate_on(loader)
        finally:
            self.model.net_g = wrapped
        self.validated = self.iteration
        self._stop_if_requested()

    def _validate_on(self, loader):
        interruptible = InterruptibleLoader(loader, self.stop)
        self.model.validation(interruptible, self.iteration, self.tb_logger, self.opt['val']['save_img'])
        for observer in self.observers:
            metrics = dict(getattr(self.model, 'metric_results', {}))
            observer.on_validation(self.iteration, loader.dataset.opt['name'], metrics)

    def _finish(self, begun):
        if self.iteration > self.first and self.saved != self.iteration:
            self._save()
        consumed = datetime.timedelta(seconds=int(time.time() - begun))
        self.logger.info(f'End of training. Time consumed: {consumed}')
        self.logger.info('Save the latest model.')
        self.model.save(-1, -1)
        if self.opt.get('val') and self.validated != self.iteration:
            self._validate()

    def _stop_message(self):
        if self.opt['rank']:
            return ''
        state = f'{self.opt["path"]["training_states"]}/{self.iteration}.state'
        return (
            f'stopped after iteration {self.iteration} of {self.total}, saved as {state}; continue with --auto_resume'
        )
