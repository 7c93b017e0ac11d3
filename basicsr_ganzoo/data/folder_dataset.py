"""What the folder datasets share: options checked against a table, small sets enlarged, errors with the path."""

import logging
import math
import random

import numpy as np
import torch
from basicsr.utils.dist_util import get_dist_info

from basicsr_ganzoo.config.build import did_you_mean
from basicsr_ganzoo.errors import OptionError

#: What BasicSR's pipeline or its loader reads in a dataset's block or puts there; old files have use_shuffle.
PIPELINE_KEYS = (
    *('name', 'type', 'phase', 'scale', 'batch_size_per_gpu', 'num_worker_per_gpu', 'prefetch_mode'),
    *('num_prefetch_queue', 'pin_memory', 'persistent_workers', 'use_shuffle'),
)
#: A smaller set is repeated until an epoch has so many batches: at each epoch's end the workers start anew.
EPOCH_BATCHES = 300


class Required:
    """Stands in a table of options for a default that there is not; ``example`` is shown to users."""

    def __init__(self, example):
        self.example = example


class FolderDataset(torch.utils.data.Dataset):
    """A dataset with a table ``OPTIONS`` of its options and their defaults.

    A subclass sets ``items`` in its constructor and makes one sample of one item in ``sample``.
    """

    OPTIONS = {'dataset_enlarge_ratio': None, 'io_backend': None}
    enlarges_itself = True
    repeats = 1  # how often an item comes in an epoch
    seeds_itself = True  # our own training loop seeds each sample instead

    def __init__(self, opt):
        super().__init__()
        self.opt = checked_options(type(self).__name__, self.OPTIONS, opt)
        self.items = []
        self._draws_of = None

    @property
    def training(self):
        """Whether samples are for training: crops, flips and turns."""
        return self.opt['phase'] == 'train'

    @classmethod
    def example(cls):
        """A block for an option file: examples of what is required and the defaults of the rest."""
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
            logging.getLogger('basicsr').info(f'{len(self.items)} pictures, each {self.repeats} times in an epoch')

    def __len__(self):
        return len(self.items) * self.repeats

    def __getitem__(self, index):
        if self.seeds_itself:
            self._draw_anew_in_each_epoch()
        return self.sample(self.items[range(len(self))[index] % len(self.items)])

    def sample(self, item):
        """The sample of one of ``items``: a dict of tensors and paths."""
        raise NotImplementedError

    def _draw_anew_in_each_epoch(self):
        # BasicSR seeds its workers alike in every epoch, so that the same crops, flips and kernels would come again.
        # The worker's seed of torch changes with the epoch, and follows from manual_seed too.
        worker = torch.utils.data.get_worker_info()
        if worker is not None and self._draws_of != worker.seed:
            self._draws_of = worker.seed
            random.seed(worker.seed)
            np.random.seed(worker.seed % 2**32)


def checked_options(name, table, opt):
    """``opt`` with the defaults of ``table``; None counts as absent.

    Raises:
        OptionError: an option that is neither in the table nor the pipeline's, or one that is required and missing.
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
    """``opt[key]``, which has to be a whole number above 0.

    Raises:
        OptionError: it is none.
    """
    value = opt[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f'{key} needs to be a whole number above 0, got {value!r}')
    return value
