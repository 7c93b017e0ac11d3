"""What loading costs: a training set of ours against BasicSR's on the same pictures, in turns."""

import copy
import random
import statistics
import tempfile
import time
from unittest import mock

import numpy as np
import torch
from basicsr.data import build_dataset, paired_image_dataset
from torch.utils.data import DataLoader, Dataset

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset
from basicsr_ganzoo.config.runtime import leave_auto_to_the_dataset
from basicsr_ganzoo.data.gt_folder_dataset import GTFolderDataset
from basicsr_ganzoo.data.paired_folder_dataset import PairedFolderDataset
from basicsr_ganzoo.degradations.kernels import KEYS, SIDE
from basicsr_ganzoo.degradations.presets import settings
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling.bench_step import environment, quartiles
from basicsr_ganzoo.profiling.subprocess import silence
from basicsr_ganzoo.trainer.loaders import begin_worker

BATCHES = 4  # of each worker in a turn, after one that is not counted
STOCK_CROP = 400  # pixels; RealESRGANDataset knows no other


def run(opt, workers=0, turns=10):
    """Measure the samples of an option file's training set, and of BasicSR's data set for the same pictures.

    Args:
        opt: the content of the option file.
        workers: processes that load; with 0 it is this one.
        turns: so many times each of the two loads the same random pictures.

    Returns:
        dict, as ``ganzoo bench --data --json`` prints it.

    Raises:
        OptionError: BasicSR has no such data set, or the pictures are not there.
    """
    block = copy.deepcopy(opt['datasets']['train'])
    block.update(phase='train', **({'scale': opt['scale']} if 'scale' in opt else {}))
    leave_auto_to_the_dataset(block)
    with silence():
        ours = repaired_build_dataset(build_dataset)(block)
        ours.seeds_itself = False
        field = {'ours': ours, 'stock': stock_dataset(ours)}
    times = {name: [] for name in field}
    for turn in range(turns):
        for name in list(field)[:: 1 if turn % 2 else -1]:
            times[name].append(_load(field[name], block['batch_size_per_gpu'], len(ours.items), workers, turn))
    return {
        'option_file': opt['name'],
        'pictures': len(ours.items),
        'crop': getattr(ours, 'buffer', ours.gt_size),
        'stock_crop': getattr(ours, 'buffer', None) and STOCK_CROP,
        'workers': workers,
        'turns': turns,
        'environment': environment(torch.device('cpu')),
        'results': {name: _sum_up(field[name], each, workers) for name, each in times.items()},
        'ratios': _ratios(times['ours'], times['stock']),
    }


def stock_dataset(ours):
    """BasicSR's data set with the pictures and the settings of one of ours.

    Raises:
        OptionError: there is none.
    """
    if not isinstance(ours, (GTFolderDataset, PairedFolderDataset)):
        raise OptionError(
            f'ganzoo bench --data compares data sets of ours with those of BasicSR, and datasets.train is '
            f'{type(ours).__name__}; add --force_yml datasets:train:type=PairedFolderDataset, or GTFolderDataset'
        )
    if ours.reader.type != 'disk':
        raise OptionError(f'ganzoo bench --data compares plain folders, and io_backend is of type {ours.reader.type}')
    block = {**ours.opt, 'io_backend': {'type': 'disk'}}
    if isinstance(ours, PairedFolderDataset):
        paths = [{'gt_path': gt.path, 'lq_path': lq.path} for gt, lq in ours.items]
        with mock.patch.object(paired_image_dataset, 'paired_paths_from_folder', return_value=paths):
            return build_dataset({**block, 'type': 'PairedImageDataset', 'meta_info_file': None})
    with tempfile.NamedTemporaryFile('w') as empty:
        numbers = settings({key: value for key, value in block.items() if value is not None}, KEYS)
        sides = {'blur_kernel_size': SIDE, 'blur_kernel_size2': SIDE}
        stock = build_dataset({**block, **numbers, **sides, 'type': 'RealESRGANDataset', 'meta_info': empty.name})
    stock.paths = [picture.path for picture in ours.items]
    return stock


class _Timed(Dataset):
    """The samples of a data set with the CPU time that each has taken, by index and seed of the draws."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getitem__(self, place):
        index, seed = place
        random.seed(seed)
        np.random.seed(seed)
        begun = time.process_time()
        sample = self.dataset[index]
        return {**sample, 'cpu_s': time.process_time() - begun}


def _load(dataset, batch_size, pictures, workers, turn):
    """Load some batches. Returns the CPU time of a sample and the wall time that one takes a worker, in seconds."""
    counted, first = BATCHES * max(workers, 1), max(workers, 1)
    draw = random.Random(turn)
    places = [(draw.randrange(pictures), draw.randrange(2**32)) for _ in range((counted + first) * batch_size)]
    batches = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
    loader = DataLoader(
        _Timed(dataset), batch_sampler=batches, num_workers=workers, worker_init_fn=begin_worker if workers else None
    )
    cpu = []
    for number, batch in enumerate(loader):
        if number == first - 1:
            begun = time.perf_counter()
        elif number >= first:
            cpu += batch['cpu_s'].tolist()
    wall = (time.perf_counter() - begun) * max(workers, 1) / (counted * batch_size)
    return statistics.mean(cpu), wall


def _sum_up(dataset, times, workers):
    cpu, wall = zip(*times, strict=True)
    rates = [1 / each for each in wall]
    return {
        'data_set': type(dataset).__name__,
        'cpu_s': statistics.median(cpu),
        'cpu_s_quartiles': quartiles(cpu),
        'samples_per_s_and_worker': statistics.median(rates),
        'samples_per_s_and_worker_quartiles': quartiles(rates),
        'samples_per_s': statistics.median(rates) * max(workers, 1),
    }


def _ratios(ours, stock):
    """Ours over the stock's, turn by turn: CPU time of a sample, and samples per second and worker."""
    pairs = list(zip(ours, stock, strict=True))
    cpu, rate = [a[0] / b[0] for a, b in pairs], [b[1] / a[1] for a, b in pairs]
    named = {'cpu_s': cpu, 'samples_per_s_and_worker': rate}
    return {key: {'ratio': statistics.median(each), 'quartiles': quartiles(each)} for key, each in named.items()}
