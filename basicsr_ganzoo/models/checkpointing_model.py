"""What a model saves and how it goes on from there: whole files, exact states, the schedule of the option file."""

from pathlib import Path

from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only

from basicsr_ganzoo.engine import distributed
from basicsr_ganzoo.engine.guard import check_finite
from basicsr_ganzoo.engine.optimizer_state import load_optimizer, schedule_of, take_schedule
from basicsr_ganzoo.engine.random_state import plain_numbers, random_states, rank_file, restore_random_states
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import save_whole
from basicsr_ganzoo.models.validating_model import ValidatingModel


class CheckpointingModel(ValidatingModel):
    """Saves and resumes a training with everything it consists of.

    Wants ``adversaries``, ``guard``, ``buffers``, ``precision`` and ``decision`` beside what BasicSR's models have.
    """

    #: what our training loop adds to the training state: its place among the pictures
    loop_state = None

    def extra_state(self):
        """What a resume needs beside networks, optimizers, schedulers and adversaries.

        The loss scale of fp16, a step that the next ones do not follow yet, and what the health report has seen.
        """
        health = {'health': self.health.state_dict()} if self.health else {}
        return {'precision': self.precision.state_dict(), 'step': self.decision.state_dict(), **health}

    def load_extra_state(self, state):
        """Take over what :meth:`extra_state` gave, as far as it is there."""
        self.precision.load_state_dict(state.get('precision', {}))
        self.decision.load_state_dict(state.get('step', {}))
        if self.health:
            self.health.load_state_dict(state.get('health', {}))

    def save(self, epoch, current_iter):
        """Save the networks and, unless ``current_iter`` is -1 (the end), the training state, as BasicSR does.

        Raises:
            DivergedError: a number of a network is not finite, or the last steps were not; nothing is saved.
        """
        self.decision.log()  # the last word on the step before
        check_finite(self.net_g, 'net_g')
        if self.ema_decay > 0:
            check_finite(self.net_g_ema, 'the moving average of net_g')
        for label, adversary in self.adversaries.items():
            for net in adversary.saved.values():
                check_finite(net, label)
        for label, adversary in self.adversaries.items():
            self.save_network(list(adversary.saved.values()), label, current_iter, param_key=list(adversary.saved))
        super().save(epoch, current_iter)

    @master_only
    def save_network(self, net, net_label, current_iter, param_key='params'):
        """Save networks as BasicSR does, but the file is whole or not there.

        Raises:
            OptionError: it cannot be written.
        """
        nets, keys = (part if isinstance(part, list) else [part] for part in (net, param_key))
        states = [self.get_bare_model(each).state_dict() for each in nets]
        on_cpu = [{name: value.cpu() for name, value in state.items()} for state in states]
        content = dict(zip(keys, on_cpu, strict=True))
        name = f'{net_label}_{"latest" if current_iter == -1 else current_iter}.pth'
        save_whole(content, Path(self.opt['path']['models']) / name)

    def save_training_state(self, epoch, current_iter):
        """Save all that a resume needs. -1, the end, needs none.

        The first process saves BasicSR's keys and what is the same in all processes, and each process its own part;
        the file ``.state`` comes last, so that where it is, the checkpoint is whole.

        Raises:
            DivergedError: the last steps were not finite.
            OptionError: a file cannot be written.
        """
        self.decision.log()
        if current_iter == -1:
            return
        folder, rank = Path(self.opt['path']['training_states']), self.opt['rank']
        if rank:
            save_whole(self._state_of_rank(), rank_file(folder, current_iter, rank))
        distributed.wait()
        if rank == 0:
            save_whole(self._training_state(epoch, current_iter), folder / f'{current_iter}.state')
        distributed.wait()

    def _training_state(self, epoch, current_iter):
        return {
            'epoch': epoch,
            'iter': current_iter,
            'optimizers': [optimizer.state_dict() for optimizer in self.optimizers],
            'optimizer_types': [type(optimizer).__name__ for optimizer in self.optimizers],
            'schedulers': [scheduler.state_dict() for scheduler in self.schedulers],
            'adversaries': {label: adversary.state_dict() for label, adversary in self.adversaries.items()},
            'bad_steps': self.guard.bad_steps,
            'best_metric_results': plain_numbers(getattr(self, 'best_metric_results', {})),
            'loop': self.loop_state,
            'extra': self.extra_state(),
            'rank': self._state_of_rank(),
        }

    def own_state(self):
        """What one process has for itself, beside its random numbers: tensors and numbers by name."""
        return {}

    def load_own_state(self, state):
        """Take over what :meth:`own_state` gave."""

    def _state_of_rank(self):
        return {'random': random_states(self.device), 'own': self.own_state()}

    def resume_training(self, resume_state):
        """Reload optimizers, schedulers and adversaries; of several adversaries also the networks.

        A state holds learning rates and schedules; those of the option file count. The adversaries may have changed
        their order.

        Raises:
            OptionError: the state is of other adversaries, or of other optimizers.
        """
        saved = list(resume_state.get('adversaries', self.adversaries))
        if set(saved) != set(self.adversaries):
            raise OptionError(
                f'the training state is of the discriminators {", ".join(saved) or "(none)"}, and the option file has '
                f'{", ".join(self.adversaries) or "none"}; put these back, or start a new training from the networks '
                'with path.pretrain_network_g'
            )
        self._resume_optimizers(resume_state, ['net_g', *saved])
        paths = self.opt['path']
        for label, adversary in self.adversaries.items():
            if adversary.suffix:
                path = Path(paths.get('resumed_models', paths['models'])) / f'{label}_{resume_state["iter"]}.pth'
                self.load_network(adversary.bare, str(path), label=label)
            adversary.load_state_dict(resume_state.get('adversaries', {}).get(label, {}))
        self.guard.bad_steps = resume_state.get('bad_steps', 0)
        self.load_extra_state(resume_state.get('extra', {}))
        self._take_best_metrics(resume_state.get('best_metric_results', {}))
        self.buffers.keep()

    def _take_best_metrics(self, results):
        """Those of other metrics than today's are of no use."""
        metrics = set((self.opt.get('val') or {}).get('metrics') or {})
        fitting = {name: record for name, record in results.items() if set(record) == metrics}
        if fitting:
            self.best_metric_results = fitting

    def resume_rank(self, state):
        """Go on with the random numbers, and what else one process has for itself, of a checkpoint."""
        self.load_own_state(state['own'])
        restore_random_states(state['random'], self.device)

    def _resume_optimizers(self, resume_state, labels):
        """Reload optimizers and schedulers, which the state has in the order of ``labels``; a changed schedule counts.

        Raises:
            OptionError: they are of others.
        """
        pairs = list(zip(self.optimizers, self.schedulers, strict=True))
        schedules = [schedule_of(*pair) for pair in pairs]
        try:
            states = dict(zip(labels, _states_of_optimizers(resume_state), strict=True))
            for label, (optimizer, scheduler) in zip(('net_g', *self.adversaries), pairs, strict=True):
                of_optimizer, of_scheduler, kind = states[label]
                load_optimizer(optimizer, of_optimizer, kind)
                scheduler.load_state_dict(of_scheduler)
        except ValueError as error:
            raise OptionError(
                f'the training state does not fit the optimizers ({error}); put optim_g, optim_d, net_d_freeze back, '
                'or start a new training from the networks with path.pretrain_network_g'
            ) from error
        for pair, schedule in zip(pairs, schedules, strict=True):
            if schedule != schedule_of(*pair):
                rates = ', '.join(f'{rate:g}' for rate in schedule[0])
                get_root_logger().info(f'resuming with the schedule of the option file, which begins at {rates}')
            take_schedule(*pair, schedule)


def _states_of_optimizers(resume_state):
    """(state of the optimizer, state of its scheduler, name of its class or None) for each one of a training state."""
    optimizers, schedulers = resume_state['optimizers'], resume_state['schedulers']
    kinds = resume_state.get('optimizer_types', [None] * len(optimizers))
    return list(zip(optimizers, schedulers, kinds, strict=True))
