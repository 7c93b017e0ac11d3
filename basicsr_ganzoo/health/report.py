"""The health report: measures each step, remembers, and speaks when a rule has held for a while."""

import contextlib

import torch
from basicsr.utils import get_root_logger

from basicsr_ganzoo._logits import mean_pair_accuracy
from basicsr_ganzoo._options import OptionError, check_whole_number, did_you_mean
from basicsr_ganzoo.health import measures
from basicsr_ganzoo.health.rules import failing

#: numbers that are measured seldom, and of which the last one counts
SELDOM = ('sn_sigma', 'r1', 'g_moved', 'd_moved', 'held_out')
DEFAULTS = {'freq': 100, 'probe_freq': 1000, 'hold': 1000}


class HealthReport:
    """Watches a model's training. It changes nothing of it: the same weights come out with and without.

    Args:
        adversaries: what the model trains against.
        net_g: the generator.
        freq: iterations between two looks at the rules, at the pictures and at whether the networks move.
        probe_freq: iterations between two measurements of R1 and of the spectral norms, which cost more.
        hold: iterations for which a rule has to hold before it is told; it is told once, until it stops to hold.
        g_starts: the iteration in which G begins to learn.
    """

    def __init__(self, adversaries, net_g, freq=100, probe_freq=1000, hold=1000, g_starts=0):
        for name, value in (('freq', freq), ('probe_freq', probe_freq), ('hold', hold)):
            check_whole_number('train.health_opt', name, value)
        self.adversaries = adversaries
        self.freq, self.probe_freq, self.hold, self.g_starts = freq, probe_freq, hold, g_starts
        self.generator = measures.Movement(net_g)
        self.movements = {a.suffix: measures.Movement(a.net_d) for a in adversaries}
        self.norms = {a.suffix: measures.SpectralNorms(a.bare) for a in adversaries}
        self.smoothed, self.since, self.told, self.held_out = {}, {}, set(), {}
        self.crop = None

    @classmethod
    def of(cls, model):
        """The report that ``train.health_opt`` asks for, or None if that is false.

        Raises:
            OptionError: a key that the report does not have, or a value that is no whole number.
        """
        options = model.opt['train'].get('health_opt')
        if options is False:
            return None
        options = {} if options in (None, True) else options
        if not isinstance(options, dict):
            raise OptionError(f'train.health_opt needs to be false or a mapping, got {options!r}')
        for key in options:
            if key not in DEFAULTS:
                raise OptionError(f'train.health_opt.{key}: nobody reads this key{did_you_mean(key, DEFAULTS)}')
        try:
            starts = {'g_starts': model.net_d_init_iters}
            return cls(list(model.adversaries.values()), model.net_g, **DEFAULTS | options | starts)
        except ValueError as error:
            raise OptionError(error) from error

    def probes(self, iteration):
        """Whether this is an iteration in which R1 and the spectral norms are measured."""
        return iteration % self.probe_freq == 0

    def measure(self, sr, lq, gt, iteration):
        """Numbers of a step's pictures and, now and then, of the networks: 0-dim tensors by name.

        Args:
            sr, lq, gt: images (N, C, H, W); gt is what the pixel loss compares with.
        """
        self.crop = gt.shape[-2:]
        numbers = measures.colour_drift(sr, lq, gt)
        if iteration % self.freq == 0:
            numbers['lr_psnr'] = measures.consistency_psnr(sr, lq)
            numbers['hf_ratio'] = measures.high_frequency_ratio(sr, gt)
            numbers['g_moved'] = self.generator.measure()
            if iteration - self.freq < self.g_starts:
                del numbers['g_moved']
            numbers.update((f'd_moved{suffix}', m.measure()) for suffix, m in self.movements.items())
        if self.probes(iteration):
            for suffix, norms in self.norms.items():
                if norms.layers:
                    numbers[f'sn_sigma{suffix}'] = sr.new_tensor(norms.largest()[1])
        return numbers

    def observe(self, numbers, iteration):
        """Take in a step's numbers, floats by name, and every ``freq`` iterations tell what has held for long."""
        for name, value in numbers.items():
            self._smooth(name, value)
        if iteration % self.freq == 0:
            for adversary in self.adversaries or [None]:
                self._judge(adversary, iteration)

    def _smooth(self, name, value):
        if name.startswith(SELDOM):
            if name.startswith('r1'):
                self.smoothed.setdefault(f'first_{name}', value)
            self.smoothed[name] = value
            return
        count = self.smoothed.get(f'{name}#', 0) + 1
        share = max(1 / count, 1 / self.freq)  # the plain mean at first, then a moving average
        self.smoothed[f'{name}#'] = count
        self.smoothed[name] = self.smoothed.get(name, 0.0) * (1 - share) + value * share

    def _judge(self, adversary, iteration):
        suffix = adversary.suffix if adversary else ''
        numbers = dict(self.smoothed)
        if suffix:
            numbers.update((n.removesuffix(suffix), v) for n, v in self.smoothed.items() if n.endswith(suffix))
        holding = {(suffix, rule.name): rule for rule in failing(numbers)}
        for key in [key for key in self.since if key[0] == suffix and key not in holding]:
            del self.since[key]
            self.told.discard(key)
        for key, rule in holding.items():
            began = self.since.setdefault(key, iteration - self.freq)
            if iteration - began >= self.hold and key not in self.told:
                self.told.add(key)
                self._tell(rule, adversary, numbers, iteration - began)

    def _tell(self, rule, adversary, numbers, iterations):
        block = adversary.block if adversary else 'train.'
        name = f' ({adversary.suffix[1:]})' if adversary and adversary.suffix else ''
        verdict, way_out = (text.format(**numbers, block=block) for text in (rule.verdict, rule.way_out))
        get_root_logger().warning(f'health{name}: {verdict}, for {iterations:,} iterations; {way_out}')

    @torch.no_grad()
    def judge_held_out(self, sr, gt):
        """Let the discriminators judge the middle of a validation picture: ``sr`` and ``gt`` (1, C, H, W)."""
        if self.crop is None or sr.shape != gt.shape or _is_smaller(gt.shape[-2:], self.crop):
            return
        for adversary in self.adversaries:
            with _unchanged(adversary.net_d):
                accuracy = mean_pair_accuracy(*adversary.judge(_middle(gt, self.crop), _middle(sr, self.crop)))
            self.held_out.setdefault(adversary.suffix, []).append(float(accuracy))

    def end_of_validation(self):
        """Take in what the discriminators said of the validation pictures."""
        for suffix, accuracies in self.held_out.items():
            self._smooth(f'held_out_acc{suffix}', sum(accuracies) / len(accuracies))
        self.held_out.clear()


def _is_smaller(size, least):
    return any(have < want for have, want in zip(size, least, strict=True))


def _middle(image, size):
    top, left = ((have - want) // 2 for have, want in zip(image.shape[-2:], size, strict=True))
    return image[..., top : top + size[0], left : left + size[1]]


@contextlib.contextmanager
def _unchanged(net):
    """Evaluate ``net`` without a trace: its mode and torch's random numbers stay as they are."""
    device = next(net.parameters()).device
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        net.eval()
        try:
            yield
        finally:
            net.train()
