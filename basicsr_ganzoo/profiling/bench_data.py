"""Measures the loading of a training set against BasicSR's dataset on the same images, in turns."""

import copy
import random
import tempfile
import time
from unittest import mock

import cv2
import numpy as np
from basicsr.data import build_dataset, paired_image_dataset

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset
from basicsr_ganzoo.config.runtime import leave_auto_to_the_dataset
from basicsr_ganzoo.data.gt_folder_dataset import GTFolderDataset
from basicsr_ganzoo.data.paired_folder_dataset import PairedFolderDataset
from basicsr_ganzoo.degradations.kernels import KEYS, SIDE
from basicsr_ganzoo.degradations.presets import settings
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.profiling.report import MEDIANS, environment, ratios, summary

SAMPLES = 16  # in a turn


def run(opt, turns=10):
    """Measure the loading of an option file's training set, and of BasicSR's dataset for the same images.

    Args:
        opt: the content of the option file.
        turns: how often both load the same random samples, after once that is not counted.

    Returns:
        dict, as ``ganzoo bench --data --json`` prints it.

    Raises:
        OptionError: BasicSR has no such dataset, or an image is missing.
    """
    block = copy.deepcopy(opt['datasets']['train'])
    block.update(phase='train', **({'scale': opt['scale']} if 'scale' in opt else {}))
    leave_auto_to_the_dataset(block)
    ours = repaired_build_dataset(build_dataset)(block)
    ours.seeds_itself = False
    records = _measure({'ours': ours, 'stock': stock_dataset(ours)}, len(ours.items), turns)
    crop = getattr(ours, 'buffer', ours.gt_size)
    note = f'A sample is a crop of {crop} pixels from {len(ours.items)} images; {turns} turns of {SAMPLES} samples.'
    always_400 = hasattr(ours, 'buffer') and crop != 400
    return {
        'option_file': opt['name'],
        'pictures': len(ours.items),
        'turns': turns,
        'environment': environment(on_gpu=False),
        'results': {name: summary(record) for name, record in records.items()},
        'ratios': ratios(*records.values()),
        'notes': [note, MEDIANS, *(["BasicSR's dataset always crops 400 pixels."] if always_400 else [])],
    }


def _measure(datasets, images, turns):
    """Load the same samples with each dataset, in turns, without OpenCV's threads, as workers do."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    records = {name: {'type': type(each).__name__, 'cpu_s': [], 'samples_per_s': []} for name, each in datasets.items()}
    for turn in range(-1, turns):
        draw = random.Random(turn)
        items = [(draw.randrange(images), draw.randrange(2**32)) for _ in range(SAMPLES)]
        for name in list(datasets)[:: 1 if turn % 2 else -1]:
            cpu, wall = _load(datasets[name], items)
            if turn >= 0:
                records[name]['cpu_s'].append(cpu)
                records[name]['samples_per_s'].append(1 / wall)
    cv2.setNumThreads(threads)
    return records


def stock_dataset(ours):
    """BasicSR's dataset with the images and the options of one of ours.

    Raises:
        OptionError: there is none.
    """
    if not isinstance(ours, (GTFolderDataset, PairedFolderDataset)):
        raise OptionError(
            f"ganzoo bench --data compares our datasets with BasicSR's, and datasets.train is {type(ours).__name__}; "
            'add --force_yml datasets:train:type=PairedFolderDataset, or GTFolderDataset'
        )
    if ours.reader.type != 'disk':
        raise OptionError(f'ganzoo bench --data compares plain folders, and io_backend is of type {ours.reader.type}')
    block = {**ours.opt, 'io_backend': {'type': 'disk'}}
    if isinstance(ours, PairedFolderDataset):
        paths = [{'gt_path': gt.path, 'lq_path': lq.path} for gt, lq in ours.items]
        with mock.patch.object(paired_image_dataset, 'paired_paths_from_folder', return_value=paths):
            return build_dataset({**block, 'type': 'PairedImageDataset', 'meta_info_file': None})
    with tempfile.NamedTemporaryFile('w') as empty:
        kernels = settings({key: value for key, value in block.items() if value is not None}, KEYS)
        sides = {'blur_kernel_size': SIDE, 'blur_kernel_size2': SIDE}
        stock = build_dataset(
            {**block, **kernels, **sides, 'type': 'RealESRGANDataset_basicsr', 'meta_info': empty.name}
        )
    stock.paths = [image.path for image in ours.items]
    return stock


def _load(dataset, items):
    """Load samples, each an index and a seed. Returns the CPU time and the wall time of one sample, in seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    for index, seed in items:
        random.seed(seed)
        np.random.seed(seed)
        dataset[index]
    return (time.process_time() - cpu) / len(items), (time.perf_counter() - wall) / len(items)
