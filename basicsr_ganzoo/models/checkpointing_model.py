"""What a model saves, and how it resumes: complete files, exact states, the schedule of the option file."""

from pathlib import Path

from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only

from basicsr_ganzoo.engine import distributed
from basicsr_ganzoo.engine.guard import check_finite
from basicsr_ganzoo.engine.optimizer_state import load_optimizers
from basicsr_ganzoo.engine.random_state import plain_numbers, random_states, rank_file, restore_random_states
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import save_whole
from basicsr_ganzoo.models.validating_model import ValidatingModel


class CheckpointingModel(ValidatingModel):
    """Saves and resumes everything that a training consists of.

    A subclass has ``adversaries``, ``guard``, ``precision`` and ``buffers`` beside what BasicSR's models have.
    """

    #: what our training loop adds to the training state: its position in the data
    loop_state = None

    # ---------------------------------------------------------------- saving

    def save(self, epoch, current_iter):
        """Save the networks and, unless ``current_iter`` is -1 (the end), the training state, as BasicSR does.

        Raises:
            DivergedError: a value of a network is not finite; nothing is saved.
            OptionError: a file cannot be written.
        """
        networks = {'net_g': self.generators(), **{label: a.saved for label, a in self.adversaries.items()}}
        for label, nets in networks.items():
            for net in nets.values():
                check_finite(net, label)
        for label, nets in networks.items():
            self.save_network(list(nets.values()), label, current_iter, param_key=list(nets))
        self.save_training_state(epoch, current_iter)

    @master_only
    def save_network(self, net, net_label, current_iter, param_key='params'):
        """Save networks in BasicSR's format; the file is complete or does not exist.

        Raises:
            OptionError: it cannot be written.
        """
        nets, keys = (part if isinstance(part, list) else [part] for part in (net, param_key))
        states = [self.get_bare_model(each).state_dict() for each in nets]
        on_cpu = [{name: value.cpu() for name, value in state.items()} for state in states]
        name = f'{net_label}_{"latest" if current_iter == -1 else current_iter}.pth'
        save_whole(dict(zip(keys, on_cpu, strict=True)), Path(self.opt['path']['models']) / name)

    def save_training_state(self, epoch, current_iter):
        """Save everything that a resume needs; nothing if ``current_iter`` is -1, the end.

        Rank 0 saves BasicSR's keys and what is the same on all ranks, and each rank saves its own part. The file
        ``.state`` comes last, so that a checkpoint with this file is complete.

        Raises:
            OptionError: a file cannot be written.
        """
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

    def extra_state(self):
        """The loss scale of fp16, and what the health report has seen."""
        health = {'health': self.health.state_dict()} if self.health else {}
        return {'precision': self.precision.state_dict(), **health}

    def _state_of_rank(self):
        return {'random': random_states(self.device), 'own': self.own_state()}

    def own_state(self):
        """What each rank has of its own beside the global random generators, by name: those of its adversaries."""
        return {'generators': {label: a.generator.get_state() for label, a in self.adversaries.items()}}

    # ---------------------------------------------------------------- resuming

    def resume_training(self, resume_state):
        """Restore optimizers, schedulers and adversaries; of several adversaries also the networks.

        The learning rates and schedules of the option file replace those of the state. The order of the adversaries may
        have changed.

        Raises:
            OptionError: the state belongs to other adversaries or to other optimizers.
        """
        saved = list(resume_state.get('adversaries', self.adversaries))
        if set(saved) != set(self.adversaries):
            raise OptionError(
                f'the training state is of the discriminators {", ".join(saved) or "(none)"}, and the option file has '
                f'{", ".join(self.adversaries) or "none"}; restore these, or start a new training from the networks '
                'with path.pretrain_network_g'
            )
        self._resume_optimizers(resume_state, ['net_g', *saved])
        for label, adversary in self.adversaries.items():
            if adversary.suffix:
                self._load_adversary(adversary, label, resume_state['iter'])
            adversary.load_state_dict(resume_state.get('adversaries', {}).get(label, {}))
        self.guard.bad_steps = resume_state.get('bad_steps', 0)
        self.load_extra_state(resume_state.get('extra', {}))
        self._resume_best_metrics(resume_state.get('best_metric_results', {}))
        self.buffers.update()

    def _load_adversary(self, adversary, label, iteration):
        paths = self.opt['path']
        path = Path(paths.get('resumed_models', paths['models'])) / f'{label}_{iteration}.pth'
        self.load_network(adversary.bare, str(path), label=label)

    def _resume_optimizers(self, resume_state, saved):
        """Restore optimizers and schedulers, which the state has in the order of the labels ``saved``."""
        pairs = dict(zip(('net_g', *self.adversaries), zip(self.optimizers, self.schedulers, strict=True), strict=True))
        try:
            load_optimizers(pairs, resume_state, saved)
        except ValueError as error:
            raise OptionError(
                f'the training state does not fit the optimizers ({error}); restore optim_g, optim_d and net_d_freeze, '
                'or start a new training from the networks with path.pretrain_network_g'
            ) from error

    def load_extra_state(self, state):
        """Restore what :meth:`extra_state` returned, as far as it is there."""
        self.precision.load_state_dict(state.get('precision', {}))
        if self.health:
            self.health.load_state_dict(state.get('health', {}))

    def _resume_best_metrics(self, results):
        """Those of a dataset with other metrics than today's are dropped."""
        metrics = set((self.opt.get('val') or {}).get('metrics') or {})
        fitting = {name: record for name, record in results.items() if set(record) == metrics}
        if fitting:
            self.best_metric_results = fitting

    def resume_rank(self, state):
        """Restore the random generators, and what else a rank has of its own, from a checkpoint."""
        self.load_own_state(state['own'])
        restore_random_states(state['random'], self.device)

    def load_own_state(self, state):
        """Restore what :meth:`own_state` returned, as far as it is there."""
        saved = state.get('generators', {})
        for label, adversary in self.adversaries.items():
            value = saved.get(label)
            if value is None or value.shape != adversary.generator.get_state().shape:  # of a CPU and of a GPU
                get_root_logger().info(f'the training state has no random generator of {label}; it is seeded again')
            else:
                adversary.generator.set_state(value)
