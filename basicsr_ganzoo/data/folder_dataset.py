"""Base class of the folder datasets: options checked against a table, small sets enlarged."""

import logging
import math
import random

import numpy as np
import torch
from basicsr.utils.dist_util import get_dist_info

from basicsr_ganzoo.errors import OptionError, did_you_mean

#: keys of a dataset's block that BasicSR's pipeline or loader reads or writes; use_shuffle is in old files
PIPELINE_KEYS = (
    *('name', 'type', 'phase', 'scale', 'batch_size_per_gpu', 'num_worker_per_gpu', 'prefetch_mode'),
    *('num_prefetch_queue', 'pin_memory', 'persistent_workers', 'use_shuffle'),
)
#: a smaller set is repeated until an epoch has this many batches, because workers restart at the end of an epoch
EPOCH_BATCHES = 300


class Required:
    """Marks an option without a default in a table of options; ``example`` is shown to users."""

    def __init__(self, example):
        self.example = example


class FolderDataset(torch.utils.data.Dataset):
    """A dataset whose options and defaults are in the table ``OPTIONS``.

    A subclass sets ``items`` in its constructor and turns one item into a sample in ``sample``.
    """

    OPTIONS = {'dataset_enlarge_ratio': None, 'io_backend': None}
    enlarges_itself = True
    repeats = 1  # of each item in an epoch
    seeds_itself = True  # our training loop turns this off and seeds each sample

    def __init__(self, opt):
        super().__init__()
        self.opt = checked_options(type(self).__name__, self.OPTIONS, opt)
        self.items = []
        self._draws_of = None

    @property
    def training(self):
        """Whether samples are for training, with crops, flips and rotations."""
        return self.opt['phase'] == 'train'

    @classmethod
    def example(cls):
        """A block for an option file: examples of required options and the defaults of the others."""
        values = {key: value.example if isinstance(value, Required) else value for key, value in cls.OPTIONS.items()}
        return {'name': 'train', 'type': cls.__name__, **values, 'num_worker_per_gpu': 4, 'batch_size_per_gpu': 12}

    def enlarge(self):
        """Fix the length: for training ``items`` are repeated, unless there is a ratio for BasicSR's sampler."""
        ratio = self.opt['dataset_enlarge_ratio']
        if self.training and ratio == 'auto':  # our own training loop has removed it before
            raise OptionError(
                'dataset_enlarge_ratio: auto is text, and this training script calculates with it; '
                'remove the key, which has the same effect'
            )
        if ratio not in (None, 'auto') and not (isinstance(ratio, (int, float)) and ratio > 0):
            raise OptionError(f'dataset_enlarge_ratio needs to be auto or a number above 0, got {ratio!r}')
        if self.training and ratio is None:
            batch = self.opt.get('batch_size_per_gpu', 1) * get_dist_info()[1]
            self.repeats = max(1, math.ceil(EPOCH_BATCHES * batch / len(self.items)))
        if self.repeats > 1:
            logging.getLogger('basicsr').info(f'{len(self.items)} images, each {self.repeats} times in an epoch')

    def __len__(self):
        return len(self.items) * self.repeats

    def __getitem__(self, index):
        if self.seeds_itself:
            self._reseed_in_each_epoch()
        return self.sample(self.items[range(len(self))[index] % len(self.items)])

    def sample(self, item):
        """The sample of one of ``items``: a dict of tensors and paths."""
        raise NotImplementedError

    def _reseed_in_each_epoch(self):
        # BasicSR gives its workers the same seed in every epoch, so crops, flips and kernels would repeat.
        # torch's seed of a worker changes with the epoch and also follows from manual_seed.
        worker = torch.utils.data.get_worker_info()
        if worker is not None and self._draws_of != worker.seed:
            self._draws_of = worker.seed
            random.seed(worker.seed)
            np.random.seed(worker.seed % 2**32)


def checked_options(name, table, opt):
    """``opt`` with the defaults of ``table``; None counts as absent.

    Raises:
        OptionError: an option is unknown, or a required one is missing.
    """
    for key in opt:
        if key not in table and key not in PIPELINE_KEYS:
            hint = did_you_mean(key, [*table, *PIPELINE_KEYS])
            raise OptionError(f'{name} has no option {key}{hint}; it takes {", ".join(table)}')
    given = {key: value for key, value in opt.items() if value is not None}
    missing = [key for key, value in table.items() if isinstance(value, Required) and key not in given]
    if missing:
        raise OptionError(f'{name} needs the option {missing[0]}, such as {table[missing[0]].example}')
    return {'phase': 'train', **table, **given}


def positive_integer(opt, key):
    """``opt[key]``, a whole number above 0.

    Raises:
        OptionError: it is something else.
    """
    value = opt[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f'{key} needs to be a whole number above 0, got {value!r}')
    return value
