"""The data loaders of a training: one that ends after the last iteration, and one for each validation set."""

import cv2
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.data.prefetch_dataloader import CUDAPrefetcher

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.trainer.prefetch import SideStream, copied_ahead
from basicsr_ganzoo.trainer.sampler import Position, SeededDataset, SteadyBatches
from basicsr_ganzoo.trainer.signals import leave_signals_to_the_trainer


class TrainingData:
    """The training set, and its batches from any iteration on.

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
                f'datasets.train: {len(self.dataset)} pictures make no batch of {self.batch_size} for each of '
                f'{opt["world_size"]} processes; set a higher dataset_enlarge_ratio, or a smaller batch_size_per_gpu'
            )

    @property
    def whole_batch(self):
        """The number of pictures in a step of all processes."""
        return self.batch_size * self.opt['world_size']

    def identity(self):
        """What has to be the same for a resumed run to take the same pictures."""
        return {
            'seed': self.opt['manual_seed'],
            'processes': self.opt['world_size'],
            'batch_size': self.batch_size,
            'pictures': len(self.dataset),
            'batches_in_an_epoch': self.per_epoch,
        }

    def start(self, epoch=0, batch=0):
        """The :class:`Position` from which to go on."""
        return Position(epoch, batch, self.per_epoch)

    def batches(self, start, count):
        """An iterator over ``count`` batches from ``start`` on, loaded ahead by the workers.

        On a GPU the next batch is copied there while a step runs; ``prefetch_mode: cuda`` takes BasicSR's way for that.
        """
        loader = self._loader(SteadyBatches(self.sampler, self.batch_size, start, count))
        if not self.opt['num_gpu']:
            return iter(loader)
        if self.block.get('prefetch_mode') != 'cuda':
            return copied_ahead(loader, SideStream(torch.device('cuda')))
        if not loader.pin_memory:
            raise OptionError('datasets.train.prefetch_mode: cuda needs pin_memory: true beside it')
        return iter(CUDAPrefetcher(loader, self.opt).next, None)

    def _loader(self, batches):
        # One loader for the whole training: its workers live as long, so that persistent_workers has nothing to add.
        workers = self.block['num_worker_per_gpu']
        ahead = 1 + self.block.get('num_prefetch_queue', 1) if self.block.get('prefetch_mode') == 'cpu' else 2
        return torch.utils.data.DataLoader(
            SeededDataset(self.dataset, self.opt['manual_seed']),
            batch_sampler=batches,
            num_workers=workers,
            prefetch_factor=max(ahead, 2) if workers else None,
            pin_memory=self.block.get('pin_memory') is not False and self.opt['num_gpu'] > 0,
            worker_init_fn=begin_worker,
            generator=torch.Generator(),  # else it would draw from the one that the training saves
        )


def begin_worker(_):
    """What every process that loads pictures begins with."""
    cv2.setNumThreads(0)  # OpenCV's own threads, as many as the machine has cores in each worker, would but wait
    leave_signals_to_the_trainer()


def validation_loaders(opt, logger):
    """BasicSR's loader for each block of ``datasets`` beside train, in their order."""
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
