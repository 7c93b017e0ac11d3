"""The health report: measures each step, evaluates the rules now and then, and warns when one has held for a while."""

import copy
import math

from basicsr.utils import get_root_logger

from basicsr_ganzoo.config.build import check_whole_number
from basicsr_ganzoo.errors import OptionError, did_you_mean
from basicsr_ganzoo.health import measures
from basicsr_ganzoo.health.held_out import HeldOut
from basicsr_ganzoo.health.rules import holding, sentence, unexplained

#: metrics that are not measured in each step; the log of a step has their last values
RARE = ('lr_psnr', 'hf_ratio', 'g_moved', 'd_moved', 'sn_sigma', 'r1')
DEFAULTS = {'freq': 100, 'probe_freq': 1000, 'hold': 1000}


def options_of(train_opt):
    """The options that ``train.health_opt`` gives the report, or None if it is false.

    Raises:
        OptionError: it is neither true, false nor a mapping, or has an unknown key.
    """
    options = train_opt.get('health_opt')
    if options is False:
        return None
    options = {} if options is None or options is True else options
    if not isinstance(options, dict):
        raise OptionError(f'train.health_opt needs to be true, false or a mapping, got {options!r}')
    for key in options:
        if key not in DEFAULTS:
            raise OptionError(f'train.health_opt.{key}: nobody reads this key{did_you_mean(key, DEFAULTS)}')
        check_whole_number('train.health_opt', key, options[key])
    return options


class HealthReport:
    """Watches a training. It changes nothing: the weights are the same with and without it.

    The rules are evaluated on the means of the metrics since the last evaluation; a metric without new values keeps its
    last mean, and values that are not finite do not count. A resumed training is watched as if it had not stopped.

    Cost, measured on one CPU thread in steps taken alternately with and without the report: MSRResNet with 32 features
    against UNetSNDiscriminator with 32, and SRVGGNetCompact 32 against PatchGANDiscriminator 32 with spectral norm, 4
    crops of 96 pixels, L1. A step takes 0.4 % and 0.7 % longer (median of 80 pairs; quartiles -1.9 % to 3.1 % and
    -0.7 % to 2.2 %), one with an evaluation 0 % and 5 %, one that measures R1 18 % and 27 %: below 1 % in all with the
    defaults. FLOPs: no more in a step, 13 % and 16 % more in one that measures R1, 0.01 % and 0.02 % in all.

    Args:
        adversaries: the adversaries of the training.
        net_g: the generator.
        freq: iterations between two evaluations of the rules, of the images and of the movement of the weights.
        probe_freq: iterations between two measurements of R1 and of the spectral norms, which cost more.
        hold: iterations for which a rule must hold before it is reported. It is reported once, until it no longer
            holds. One that another rule explains waits until that one no longer holds.
        begins: iterations after which it begins, those in which D learns alone.
    """

    def __init__(self, adversaries, net_g, freq=100, probe_freq=1000, hold=1000, begins=0):
        for name, value in (('freq', freq), ('probe_freq', probe_freq), ('hold', hold)):
            check_whole_number('train.health_opt', name, value)
        self.adversaries = adversaries
        self.freq, self.probe_freq, self.hold, self.begins = freq, probe_freq, hold, begins
        self.movements = {'g_moved': ('grad_net_g', measures.Movement(net_g))}
        for a in adversaries:
            self.movements[f'd_moved{a.suffix}'] = (f'grad_net_d{a.suffix}', measures.Movement(a.net_d))
        self.norms = {a.suffix: measures.SpectralNorms(a.bare) for a in adversaries}
        self.held_out = HeldOut(adversaries)
        self.window, self.metrics, self.layers = {}, {}, {}
        self.last_evaluation, self.since, self.reported = None, {}, set()

    @classmethod
    def of(cls, train_opt, adversaries, net_g):
        """The report that ``train.health_opt`` requests, or None if that is false.

        Raises:
            OptionError: a key is unknown, or a value is no whole number.
        """
        options = options_of(train_opt)
        if options is None:
            return None
        begins = train_opt.get('net_d_init_iters', 0) if adversaries else 0
        try:
            return cls(adversaries, net_g, **options, begins=begins)
        except ValueError as error:
            raise OptionError(error) from error

    # ---------------------------------------------------------------- resuming

    def state_dict(self):
        """What a resume needs: numbers, strings and lists of them, and a sample of the weights."""
        return {
            'window': self.window,
            'numbers': self.metrics,
            'layers': self.layers,
            'last_look': self.last_evaluation,
            'since': [[*key, iteration] for key, iteration in self.since.items()],
            'told': [list(key) for key in sorted(self.reported)],
            'weights': {name: movement.before.cpu() for name, (_, movement) in self.movements.items()},
        }

    def load_state_dict(self, state):
        """Continue from what :meth:`state_dict` returned; an empty state changes nothing."""
        if not state:
            return
        self.window, self.metrics, self.layers = (copy.deepcopy(state[key]) for key in ('window', 'numbers', 'layers'))
        self.last_evaluation = state['last_look']
        self.since = {tuple(key): iteration for *key, iteration in state['since']}
        self.reported = {tuple(key) for key in state['told']}
        for name, (_, movement) in self.movements.items():
            movement.resume(state['weights'].get(name))

    # ---------------------------------------------------------------- measuring

    def measures_r1(self, iteration):
        """Whether R1 and the spectral norms are measured in this iteration."""
        return iteration % self.probe_freq == 0

    def measure(self, sr, batch, iteration):
        """Metrics of a step's images and, now and then, of the spectral norms: 0-dim tensors by name.

        Args:
            sr: the output of the generator, (N, C, H, W).
            batch: the :class:`~basicsr_ganzoo.engine.step.Batch` of the step.
        """
        self.held_out.real, self.held_out.fake = batch.gt_gan, sr
        metrics = measures.colour_drift(sr, batch.gt_pix)
        if iteration % self.freq == 0:
            metrics['lr_psnr'] = measures.consistency_psnr(sr, batch.lq)
            metrics['hf_ratio'] = measures.high_frequency_ratio(sr, batch.gt_pix)
        for suffix, norms in self.norms.items() if self.measures_r1(iteration) else ():
            if norms.layers:
                self.layers[suffix], value = norms.largest()
                metrics[f'sn_sigma{suffix}'] = sr.new_tensor(value)
        return metrics

    def end_of_validation(self, data_set, iteration, tb_logger=None):
        """Take in and log the discriminators' logits of the validation's images."""
        for suffix, metrics in self.held_out.result().items():
            self.metrics.update((f'{name}{suffix}', value) for name, value in metrics.items())
            get_root_logger().info(
                f'Validation {data_set}: D{_in_brackets(suffix)} puts {metrics["auc_held_out"]:.0%} of these images '
                f'above generated ones, and {metrics["auc_train"]:.0%} of those in training'
            )
            for name, value in metrics.items() if tb_logger else ():
                tb_logger.add_scalar(f'metrics/{data_set}/{name}{suffix}', value, iteration)

    # ---------------------------------------------------------------- rules

    def observe(self, metrics, iteration):
        """Take in the metrics of a step, floats by name, after its update, and evaluate the rules if it is time.

        Returns:
            The last values of metrics that are measured rarely.
        """
        if iteration <= self.begins:
            return {}
        if self.last_evaluation is None:
            self.last_evaluation = iteration - 1
        for name, value in metrics.items():
            if math.isfinite(value):
                self.window.setdefault(name, []).append(value)
        if iteration % self.freq == 0:
            self._evaluate(iteration)
        rare = [f'{name}{a.suffix}' for name in RARE for a in (_Generator, *self.adversaries)]
        return {name: self.metrics[name] for name in rare if name in self.metrics and name not in metrics}

    def _evaluate(self, iteration):
        for name, (gradient, movement) in self.movements.items():
            moved = movement.measure()
            if gradient in self.window:  # otherwise the network was not to be updated
                self.window[name] = [moved]
        for name, values in self.window.items():
            self.metrics[name] = sum(values) / len(values)
            if name.startswith('r1') and iteration > self.begins + self.hold:  # an untrained D is flat
                self.metrics.setdefault(f'first_{name}', self.metrics[name])
        self._report(iteration)
        self.window, self.last_evaluation = {}, iteration

    def _report(self, iteration):
        """Warn of the rules that have held for long enough, once each."""
        found, reportable = {}, {}
        for adversary in self.adversaries or (_Generator,):
            metrics = self._metrics_of(adversary.suffix)
            rules = holding(metrics)
            for rule in rules:
                owner = adversary if rule.of == 'discriminator' else _Generator
                found[owner.suffix, rule.name] = rule, owner, metrics
                reportable[owner.suffix, rule.name] = rule in unexplained(rules)
        self.since = {key: self.since.get(key, self.last_evaluation) for key in found}
        self.reported &= set(found)
        for key, diagnosis in found.items():
            if reportable[key] and key not in self.reported and iteration - self.since[key] >= self.hold:
                self.reported.add(key)
                self._warn(*diagnosis, iteration - self.since[key])

    @property
    def status(self):
        """``healthy``, or the newest of the warnings that hold, in two or three words; empty before the first rules."""
        if not self.reported:
            return 'healthy' if self.metrics else ''
        suffix, name = max(sorted(self.reported), key=self.since.get)  # sorted, so that ties do not depend on hashes
        return f'{name}{_in_brackets(suffix)}'

    def _warn(self, rule, owner, metrics, iterations):
        text = sentence(rule, metrics, iterations, owner.block)
        get_root_logger().warning(f'health{_in_brackets(owner.suffix)}: {text}')

    def _metrics_of(self, suffix):
        own = {name.removesuffix(suffix): value for name, value in self.metrics.items() if name.endswith(suffix)}
        return {**self.metrics, **own, 'sn_layer': self.layers.get(suffix)}


class _Generator:
    """Stands for an adversary where a rule is about the generator."""

    suffix, block = '', 'train.'


def _in_brackets(suffix):
    return f' ({suffix[1:]})' if suffix else ''
