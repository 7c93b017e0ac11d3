"""BasicSR's test pipeline and data sets, with the repairs that a CPU and a user's mistakes call for."""

import contextlib
import copy
import importlib
import os
import random
import sys
from types import SimpleNamespace

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo._options import OptionError, lookup
from basicsr_ganzoo.training import distributed


def test_pipeline(argv, root, change):
    """Run BasicSR's test pipeline with ``argv``; ``change`` edits its options; it writes to ``root``/results."""
    pipeline = importlib.import_module('basicsr.test')
    repairs = {
        'parse_options': _repaired_parse_options(pipeline.parse_options, change),
        'build_dataset': repaired_build_dataset(pipeline.build_dataset),
    }
    with _replaced(pipeline, repairs), _replaced(sys, {'argv': argv}):
        pipeline.test_pipeline(root)


def _repaired_parse_options(parse_options, change):
    def parse(root_path, is_train=True):
        paths = SimpleNamespace(**{**vars(os.path), 'expanduser': expanduser})
        with _replaced(importlib.import_module('basicsr.utils.options'), {'init_dist': _init_dist, 'osp': paths}):
            opt, args = parse_options(root_path, is_train)
        opt['num_gpu'] = usable_gpus(opt)
        change(opt)
        return opt, args

    return parse


def expanduser(path):
    """A path, or each of a list of paths, with ``~`` resolved."""
    return [os.path.expanduser(each) for each in path] if isinstance(path, list) else os.path.expanduser(path)


def leave_auto_to_the_dataset(block):
    """Remove ``dataset_enlarge_ratio: auto``, as BasicSR calculates with it; folder datasets enlarge themselves."""
    if block.get('dataset_enlarge_ratio', 1) not in ('auto', None):
        return
    entry = dict(iter(DATASET_REGISTRY)).get(block['type'])
    if entry is not None and not getattr(entry, 'enlarges_itself', False):
        raise OptionError(
            f'datasets.train: {block["type"]} needs a number as dataset_enlarge_ratio; '
            'only GTFolderDataset and PairedFolderDataset enlarge themselves'
        )
    del block['dataset_enlarge_ratio']


def _init_dist(launcher, **dist_params):
    distributed.start(launcher, dist_params)


def usable_gpus(opt):
    """Without CUDA 0, whatever the option file says; without a launcher at most 1, whatever the machine has."""
    wanted = opt['num_gpu']
    if wanted and not torch.cuda.is_available():
        print('no CUDA device: training on the CPU')
        return 0
    if not opt['dist'] and wanted > 1:
        print(f'training on one of {wanted} GPUs; for all of them: {distributed.TORCHRUN.format(wanted)}')
        return 1
    return wanted


def repaired_build_dataset(build_dataset):
    """BasicSR's ``build_dataset``, whose errors are :class:`OptionError` and which looks at the first picture."""

    def build(block):
        where = f'datasets.{block["phase"]}'
        try:
            lookup(DATASET_REGISTRY, block['type'])
            dataset = build_dataset(block)
            if not len(dataset):
                raise OptionError('its folders hold no pictures; correct dataroot_gt or dataroot_lq')
            if block['phase'] == 'train':
                _check_train_set(dataset, block)
            else:
                _check_first_sample(dataset)
        except KeyError as error:
            raise OptionError(f'{where} lacks {error}') from error
        except AttributeError as error:  # what BasicSR makes of a file that OpenCV cannot read
            raise OptionError(f'{where}: a picture cannot be read ({error}); remove it') from error
        except (AssertionError, NotImplementedError, OSError, TypeError, ValueError) as error:
            raise OptionError(f'{where}: {one_line(error)}') from error
        return dataset

    return build


def one_line(error):
    """What an error says, on one line."""
    if isinstance(error, OSError) and error.filename:
        return f'{error.strerror}: {error.filename}'
    # BasicSR raises some errors with a message in two arguments.
    text = ''.join(error.args) if all(isinstance(arg, str) for arg in error.args) else str(error)
    return ' '.join(text.split())


def _check_train_set(dataset, block):
    batch = block['batch_size_per_gpu']
    if len(dataset) * block.get('dataset_enlarge_ratio', 1) < batch:
        ratio = -(-batch // max(len(dataset), 1))
        raise OptionError(
            f'{len(dataset)} pictures are fewer than a batch of {batch}; '
            f'set dataset_enlarge_ratio to {ratio} or more, or a smaller batch_size_per_gpu'
        )
    _check_first_sample(dataset)


def _check_first_sample(dataset):
    # It tells whether scale and gt_size fit; a copy reads it, so that workers open files of their own.
    with unchanged_randomness():
        copy.deepcopy(dataset)[0]


@contextlib.contextmanager
def unchanged_randomness():
    """Put the random numbers of Python, NumPy and torch's CPU back at the end."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextlib.contextmanager
def _replaced(owner, attributes):
    before = {name: getattr(owner, name) for name in attributes}
    for name, value in attributes.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
