"""The health report: measures each step, looks at the rules now and then, and speaks when one has held for a while."""

import copy
import math

from basicsr.utils import get_root_logger

from basicsr_ganzoo.config.build import check_whole_number, did_you_mean
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.health import measures
from basicsr_ganzoo.health.held_out import HeldOut
from basicsr_ganzoo.health.rules import holding, sentence, unexplained

#: numbers that are not measured in each step; the log has the last ones in all steps
SELDOM = ('lr_psnr', 'hf_ratio', 'g_moved', 'd_moved', 'sn_sigma', 'r1')
DEFAULTS = {'freq': 100, 'probe_freq': 1000, 'hold': 1000}


def options_of(train_opt):
    """The options that ``train.health_opt`` gives the report, or None if it is false.

    Raises:
        OptionError: it is neither true, false nor a mapping, or has a key that the report does not have.
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
    """Watches a model's training. It changes nothing of it: the same weights come out with and without.

    A look at the rules is at the means of the numbers since the look before; a number that did not come in keeps its
    last mean, and one that is not finite does not count. A resumed training is watched on, as if it had not stopped.

    Cost, measured on one CPU thread (no GPU was at hand) in steps taken in turn with and without: MSRResNet with 32
    features against UNetSNDiscriminator with 32, and SRVGGNetCompact 32 against PatchGANDiscriminator 32 with spectral
    norm, 4 crops of 96 pixels, L1. A step takes 0.4 % and 0.7 % longer (median of 80 pairs; quartiles -1.9 % to 3.1 %
    and -0.7 % to 2.2 %), one with a look 0 % and 5 %, one with a probe 18 % and 27 %: below 1 % in all with the
    defaults. FLOPs: none more in a step, 13 % and 16 % in one with a probe, 0.01 % and 0.02 % in all.

    Args:
        adversaries: what the model trains against.
        net_g: the generator.
        freq: iterations between two looks at the rules, at the pictures and at whether the networks move.
        probe_freq: iterations between two measurements of R1 and of the spectral norms, which cost more.
        hold: iterations for which a rule has to hold before it is told; it is told once, until it stops to hold. One
            that another rule explains waits for that to end.
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
        self.window, self.numbers, self.layers = {}, {}, {}
        self.last_look, self.since, self.told = None, {}, set()

    @classmethod
    def of(cls, model):
        """The report that ``train.health_opt`` asks for, or None if that is false.

        Raises:
            OptionError: a key that the report does not have, or a value that is no whole number.
        """
        options = options_of(model.opt['train'])
        if options is None:
            return None
        begins = model.net_d_init_iters if model.adversaries else 0
        try:
            return cls(list(model.adversaries.values()), model.net_g, **options, begins=begins)
        except ValueError as error:
            raise OptionError(error) from error

    # ---------------------------------------------------------------- resuming

    def state_dict(self):
        """What a resume needs: numbers, texts and lists of them, and a sample of the weights at the last look."""
        return {
            **{name: getattr(self, name) for name in ('window', 'numbers', 'layers', 'last_look')},
            'since': [[*key, iteration] for key, iteration in self.since.items()],
            'told': [list(key) for key in sorted(self.told)],
            'weights': {name: movement.before.cpu() for name, (_, movement) in self.movements.items()},
        }

    def load_state_dict(self, state):
        """Watch on from what :meth:`state_dict` gave; anew where there is nothing."""
        if not state:
            return
        for name in ('window', 'numbers', 'layers', 'last_look'):
            setattr(self, name, copy.deepcopy(state[name]))
        self.since = {tuple(key): iteration for *key, iteration in state['since']}
        self.told = {tuple(key) for key in state['told']}
        for name, (_, movement) in self.movements.items():
            movement.go_on_from(state['weights'].get(name))

    # ---------------------------------------------------------------- measuring

    def probes(self, iteration):
        """Whether this is an iteration in which R1 and the spectral norms are measured."""
        return iteration % self.probe_freq == 0

    def measure(self, sr, lq, gt, iteration):
        """Numbers of a step's pictures and, now and then, of the spectral norms: 0-dim tensors by name.

        Args:
            sr, lq, gt: images (N, C, H, W); gt is what the pixel loss compares with.
        """
        numbers = measures.colour_drift(sr, gt)
        if iteration % self.freq == 0:
            numbers['lr_psnr'] = measures.consistency_psnr(sr, lq)
            numbers['hf_ratio'] = measures.high_frequency_ratio(sr, gt)
        for suffix, norms in self.norms.items() if self.probes(iteration) else ():
            if norms.layers:
                self.layers[suffix], value = norms.largest()
                numbers[f'sn_sigma{suffix}'] = sr.new_tensor(value)
        return numbers

    def end_of_validation(self, data_set, iteration, tb_logger=None):
        """Take in and log what the discriminators said of the validation's pictures."""
        for suffix, numbers in self.held_out.result().items():
            self.numbers.update((f'{name}{suffix}', value) for name, value in numbers.items())
            get_root_logger().info(
                f'Validation {data_set}: D{_in_brackets(suffix)} puts {numbers["auc_held_out"]:.0%} of these pictures '
                f'above generated ones, and {numbers["auc_train"]:.0%} of those in training'
            )
            for name, value in numbers.items() if tb_logger else ():
                tb_logger.add_scalar(f'metrics/{data_set}/{name}{suffix}', value, iteration)

    # ---------------------------------------------------------------- judging

    def observe(self, numbers, iteration):
        """Take in the numbers of a step, floats by name, after its update, and look at the rules if it is time.

        Returns:
            The numbers that are measured seldom, as they were measured last.
        """
        if iteration <= self.begins:
            return {}
        if self.last_look is None:
            self.last_look = iteration - 1
        for name, value in numbers.items():
            if math.isfinite(value):
                self.window.setdefault(name, []).append(value)
        if iteration % self.freq == 0:
            self._look(iteration)
        seldom = (f'{name}{a.suffix}' for name in SELDOM for a in (_Nobody, *self.adversaries))
        return {name: self.numbers[name] for name in seldom if name in self.numbers and name not in numbers}

    def _look(self, iteration):
        for name, (gradient, movement) in self.movements.items():
            moved = movement.measure()
            if gradient in self.window:  # otherwise it was not its turn
                self.window[name] = [moved]
        for name, values in self.window.items():
            self.numbers[name] = sum(values) / len(values)
            if name.startswith('r1') and iteration > self.begins + self.hold:  # a fresh D is flat
                self.numbers.setdefault(f'first_{name}', self.numbers[name])
        self._judge(iteration)
        self.window, self.last_look = {}, iteration

    def _judge(self, iteration):
        found, to_tell = {}, {}
        for adversary in self.adversaries or (_Nobody,):
            numbers = self._numbers_of(adversary.suffix)
            rules = holding(numbers)
            for rule in rules:
                owner = adversary if rule.of == 'discriminator' else _Nobody
                found[owner.suffix, rule.name] = rule, owner, numbers
                to_tell[owner.suffix, rule.name] = rule in unexplained(rules)
        self.since = {key: self.since.get(key, self.last_look) for key in found}
        self.told &= set(found)
        for key, what in found.items():
            if to_tell[key] and key not in self.told and iteration - self.since[key] >= self.hold:
                self.told.add(key)
                self._tell(*what, iteration - self.since[key])

    @property
    def status(self):
        """``healthy``, or the newest of the warnings that hold, in two or three words; empty before the first look."""
        if not self.told:
            return 'healthy' if self.numbers else ''
        suffix, name = max(sorted(self.told), key=self.since.get)  # of several the first by name, not by chance
        return f'{name}{_in_brackets(suffix)}'

    def _tell(self, rule, owner, numbers, iterations):
        told = sentence(rule, numbers, iterations, owner.block)
        get_root_logger().warning(f'health{_in_brackets(owner.suffix)}: {told}')

    def _numbers_of(self, suffix):
        own = {name.removesuffix(suffix): value for name, value in self.numbers.items() if name.endswith(suffix)}
        return {**self.numbers, **own, 'sn_layer': self.layers.get(suffix)}


class _Nobody:
    """In the place of an adversary, for what is said of the generator."""

    suffix, block = '', 'train.'


def _in_brackets(suffix):
    return f' ({suffix[1:]})' if suffix else ''
