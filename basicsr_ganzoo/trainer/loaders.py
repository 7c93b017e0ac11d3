"""The data loaders of a training: one for all its batches, and one for each validation set."""

import cv2
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.data.prefetch_dataloader import CUDAPrefetcher

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.trainer.prefetch import SideStream, prefetched
from basicsr_ganzoo.trainer.sampler import EpochPosition, ResumableBatchSampler, SeededDataset
from basicsr_ganzoo.trainer.signals import ignore_signals


class TrainingData:
    """The training set and its batches, from any position.

    Args:
        opt: the completed options.
    """

    def __init__(self, opt):
        self.opt, self.block = opt, opt['datasets']['train']
        self.dataset = repaired_build_dataset(build_dataset)(self.block)
        ratio = self.block.get('dataset_enlarge_ratio', 1)
        self.sampler = EnlargedSampler(self.dataset, opt['world_size'], opt['rank'], ratio)
        self.batch_size = self.block['batch_size_per_gpu']
        self.per_epoch = len(self.sampler) // self.batch_size
        if not self.per_epoch:
            raise OptionError(
                f'datasets.train: {len(self.dataset)} images make no batch of {self.batch_size} for each of '
                f'{opt["world_size"]} processes; set a higher dataset_enlarge_ratio, or a smaller batch_size_per_gpu'
            )

    @property
    def whole_batch(self):
        """Number of samples in a step of all processes."""
        return self.batch_size * self.opt['world_size']

    def identity(self):
        """What must be unchanged for a resumed run to see the same samples."""
        return {
            'seed': self.opt['manual_seed'],
            'processes': self.opt['world_size'],
            'batch_size': self.batch_size,
            'pictures': len(self.dataset),
            'batches_in_an_epoch': self.per_epoch,
        }

    def start(self, epoch=0, batch=0):
        """The :class:`EpochPosition` to start from."""
        return EpochPosition(epoch, batch, self.per_epoch)

    def batches(self, start, count):
        """An iterator over ``count`` batches from ``start``, loaded ahead by the workers.

        On a GPU the next batch is copied while a step runs; ``prefetch_mode: cuda`` uses BasicSR's prefetcher for that.
        """
        loader = self._loader(ResumableBatchSampler(self.sampler, self.batch_size, start, count))
        if not self.opt['num_gpu']:
            return iter(loader)
        if self.block.get('prefetch_mode') != 'cuda':
            return prefetched(loader, SideStream(torch.device('cuda')))
        if not loader.pin_memory:
            raise OptionError('datasets.train.prefetch_mode: cuda needs pin_memory: true')
        return iter(CUDAPrefetcher(loader, self.opt).next, None)

    def _loader(self, batches):
        # One loader serves the whole training, so its workers are persistent anyway.
        workers = self.block['num_worker_per_gpu']
        ahead = 1 + self.block.get('num_prefetch_queue', 1) if self.block.get('prefetch_mode') == 'cpu' else 2
        return torch.utils.data.DataLoader(
            SeededDataset(self.dataset, self.opt['manual_seed']),
            batch_sampler=batches,
            num_workers=workers,
            prefetch_factor=max(ahead, 2) if workers else None,
            pin_memory=self.block.get('pin_memory') is not False and self.opt['num_gpu'] > 0,
            worker_init_fn=init_worker,
            generator=torch.Generator(),  # otherwise it would draw from the global one, which checkpoints save
        )


def init_worker(_):
    """Set up a process that loads data."""
    cv2.setNumThreads(0)  # by default OpenCV starts a thread per core in each worker
    ignore_signals()


def validation_loaders(opt, logger):
    """BasicSR's loader for each validation set in ``datasets``, in order."""
    loaders = []
    for name, block in opt['datasets'].items():
        if name == 'train' or (block['phase'] == 'val' and not opt.get('val')):
            continue
        if block['phase'] != 'val':
            raise OptionError(f'datasets.{name}: training knows train, val, val_2, ...')
        dataset = repaired_build_dataset(build_dataset)(block)
        loaders.append(build_dataloader(dataset, block, opt['num_gpu'], opt['dist'], None, opt['manual_seed']))
        logger.info(f'Number of val images/folders in {block["name"]}: {len(dataset)}')
    return loaders
