"""Which sample comes when, and what is drawn for it: functions of the seed and the position alone."""

import contextlib
import random
from dataclasses import dataclass

import numpy as np
import torch

from basicsr_ganzoo.basicsr_patches import unchanged_randomness


@dataclass(frozen=True)
class EpochPosition:
    """A position between two batches: ``batch`` of the ``per_epoch`` batches of ``epoch`` are done."""

    epoch: int
    batch: int
    per_epoch: int

    def after(self, batches):
        """The position after that many further batches."""
        epoch, batch = divmod(self.epoch * self.per_epoch + self.batch + batches, self.per_epoch)
        return EpochPosition(epoch, batch, self.per_epoch)


class ResumableBatchSampler(torch.utils.data.Sampler):
    """The batches of a whole training, over all epochs, each a list of (index, draw).

    ``draw`` counts the samples of all processes since the training began; it seeds the random numbers of a sample.

    Args:
        sampler: BasicSR's ``EnlargedSampler``, which shuffles each epoch and gives each process its share.
        batch_size: of one process.
        start: the :class:`EpochPosition` of the first batch.
        count: number of batches.
    """

    def __init__(self, sampler, batch_size, start, count):
        self.sampler, self.batch_size, self.start, self.count = sampler, batch_size, start, count

    def __len__(self):
        return self.count

    def __iter__(self):
        samples, of_epoch = [], None
        for number in range(self.count):
            position = self.start.after(number)
            if position.epoch != of_epoch:
                samples, of_epoch = self._samples(position.epoch), position.epoch
            yield samples[position.batch * self.batch_size :][: self.batch_size]

    def _samples(self, epoch):
        sampler = self.sampler
        sampler.set_epoch(epoch)
        first = epoch * sampler.total_size + sampler.rank
        return [(index, first + number * sampler.num_replicas) for number, index in enumerate(sampler)]


class SeededDataset(torch.utils.data.Dataset):
    """A dataset whose crops, flips and kernels follow from ``seed`` and the number of the draw.

    So they are the same in any worker, with any number of workers, and after a resume within an epoch.
    """

    def __init__(self, dataset, seed):
        self.dataset, self.seed = dataset, seed
        dataset.seeds_itself = False

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, item):
        index, draw = item
        in_worker = torch.utils.data.get_worker_info() is not None
        with contextlib.nullcontext() if in_worker else unchanged_randomness():
            _seed(self.seed, draw)
            return self.dataset[index]


def _seed(*numbers):
    one, two, three = map(int, np.random.SeedSequence(numbers).generate_state(3))
    random.seed(one)
    np.random.seed(two)
    torch.default_generator.manual_seed(three)  # torch.manual_seed would seed the GPU as well
