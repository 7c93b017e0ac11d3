"""The checkpoint with the best validation, kept beside the newest ones."""

import math
from pathlib import Path

from basicsr.utils import get_root_logger

from basicsr_ganzoo.config.build import check_choice
from basicsr_ganzoo.engine.guard import check_finite
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import save_whole
from basicsr_ganzoo.weights import read_file

NAME = 'net_g_best.pth'


class BestCheckpoint:
    """Keeps the generator of the best validation so far in a file, which also says what that validation was.

    A resumed run continues from what that file says, so that the two always agree, wherever the run was stopped.

    Args:
        path: of the file.
        metric: its key in ``val.metrics``.
        better: ``higher`` or ``lower``.
        data_set: the name of the dataset that counts; None for any.
        found: what the file of an earlier part of the run says, if there is one.
    """

    def __init__(self, path, metric, better, data_set, found=None):
        self.path, self.metric, self.better, self.data_set = path, metric, better, data_set
        fits = found and all(found.get(key) == value for key, value in self._what().items())
        self.best = dict(found) if fits else {}

    @classmethod
    def of(cls, opt):
        """The one that ``val.keep_best`` of the options requests, or None.

        Raises:
            OptionError: its metric is not in ``val.metrics``, or ``better`` is neither word.
        """
        val = opt.get('val') or {}
        block = val.get('keep_best')
        if not block:
            return None
        metrics = val.get('metrics') or {}
        try:
            if not isinstance(block, dict) or set(block) - {'metric', 'better'}:
                raise ValueError(f'val.keep_best needs to be a mapping with metric and better, got {block!r}')
            check_choice('val.keep_best', 'metric', block.get('metric'), metrics)
            better = block.get('better') or metrics[block['metric']].get('better', 'higher')
            check_choice('val.keep_best', 'better', better, ('higher', 'lower'))
        except ValueError as error:
            raise OptionError(error) from error
        path = Path(opt['path'].get('models') or '.') / NAME
        found = _found(path) if opt['path'].get('resume_state') else None
        return cls(path, block['metric'], better, _first_data_set(opt), found)

    def update(self, networks, data_set, results, iteration):
        """Save the networks if a validation was better than all before it.

        Args:
            networks: the generator and its average, by their keys in the file.
            data_set: the name of the validated dataset.
            results: its metrics by name.
            iteration: of the training.

        Raises:
            DivergedError: a value of a network is not finite; nothing is saved.
            OptionError: the file cannot be written.
        """
        if data_set != (self.data_set or data_set) or self.metric not in results:
            return
        value, before = float(results[self.metric]), self.best
        if math.isnan(value) or (before and not self._is_better(value, before['value'])):
            return
        self.best = {**self._what(), 'value': value, 'iter': iteration}
        self._save(networks)
        than = f' (before: {before["value"]:.4f} at iteration {before["iter"]})' if before else ''
        get_root_logger().info(f'Saved {NAME}: {self.metric} {value:.4f} on {data_set} at iteration {iteration}{than}')

    def _is_better(self, value, than):
        return value > than if self.better == 'higher' else value < than

    def _what(self):
        return {'metric': self.metric, 'better': self.better, 'data_set': self.data_set}

    def _save(self, networks):
        for net in networks.values():
            check_finite(net, 'net_g')
        states = {
            key: {name: tensor.cpu() for name, tensor in net.state_dict().items()} for key, net in networks.items()
        }
        save_whole({**states, 'best': self.best}, self.path)


def _first_data_set(opt):
    blocks = [block for phase, block in (opt.get('datasets') or {}).items() if not phase.startswith('train')]
    return blocks[0].get('name') if blocks else None


def _found(path):
    """What an earlier part of the run kept."""
    if not path.is_file():
        return None
    try:
        return read_file(path).get('best')
    except OptionError as error:
        get_root_logger().warning(f'{error}; the search for the best checkpoint restarts')
        return None
