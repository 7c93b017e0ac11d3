"""BasicSR's train and test pipelines with the repairs that today's PyTorch, a CPU and a user's mistakes call for."""

import contextlib
import copy
import importlib
import math
import os
import pickle
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from basicsr.utils import check_resume, dist_util
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo._options import OptionError, lookup

TORCHRUN = 'torchrun --nproc_per_node {} -m basicsr_ganzoo.train ... --launcher pytorch'


def train_pipeline(argv, root):
    """Run BasicSR's pipeline with the command line ``argv``; it writes to, and resumes from, ``root``/experiments."""
    start = {'epoch': 0, 'iter': 0}

    def load(opt):
        state = load_resume_state(opt)
        start.update({key: state[key] for key in start} if state else {})
        return state

    create = _repaired_create_loaders(importlib.import_module('basicsr.train').create_train_val_dataloader, start)
    _run('train', argv, root, load_resume_state=load, create_train_val_dataloader=create)


def test_pipeline(argv, root, change):
    """Run BasicSR's test pipeline with ``argv``; ``change`` edits its options; it writes to ``root``/results."""
    _run('test', argv, root, change)


def _run(name, argv, root, change=lambda opt: None, **repairs):
    pipeline = importlib.import_module(f'basicsr.{name}')
    repairs['parse_options'] = _repaired_parse_options(pipeline.parse_options, change)
    repairs['build_dataset'] = repaired_build_dataset(pipeline.build_dataset)
    with _replaced(pipeline, repairs), _replaced(sys, {'argv': argv}):
        getattr(pipeline, f'{name}_pipeline')(root)


def load_resume_state(opt):
    """The training state to go on from, or None; found where this run writes, and loaded to the CPU.

    Raises:
        OptionError: the state that was asked for, or each of those that were found, is damaged or not there.
    """
    path, state = _newest_whole_state(opt) if opt['auto_resume'] else (opt['path'].get('resume_state'), None)
    if not path:
        return None
    opt['path']['resume_state'] = str(path)
    state = state or _load_state(path)
    check_resume(opt, state['iter'])
    return state


def _newest_whole_state(opt):
    """The newest state that loads, with its path; what stopped a run may have cut off the newest one."""
    folder = Path(opt['path']['training_states'])
    states = sorted(folder.glob('*.state'), key=lambda state: int(state.stem), reverse=True)
    for path in states:
        try:
            state = _load_state(path)
        except OptionError as error:
            print(f'{error}; trying the state before')
            continue
        print(f'resuming from {path}')
        return path, state
    if states:
        raise OptionError(f'each state in {folder} is damaged; remove them to start anew')
    print(f'nothing to resume in {folder}')
    return None, None


def _load_state(path):
    if not Path(path).is_file():
        raise OptionError(f'path.resume_state names no file: {path}')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise OptionError(f'{path} is damaged: {_one_line(error)}') from error


def _repaired_create_loaders(create, start):
    """BasicSR's ``create_train_val_dataloader``, whose number of epochs reaches ``train.total_iter``.

    BasicSR rounds the batches of an epoch up, but its loader drops the last one unless it is whole: 300.1 batches in an
    epoch end 400,000 iterations at 399,000. It also forgets that an epoch may have become longer before a resume.

    Args:
        create: BasicSR's function.
        start: a mapping with the ``epoch`` and ``iter`` to go on from; it is read when the loaders are made.
    """

    def create_loaders(opt, logger):
        loader, sampler, val_loaders, _, total = create(opt, logger)
        if not len(loader):
            raise OptionError(
                f'datasets.train: {len(loader.dataset)} pictures make no batch of {loader.batch_size} for each of '
                f'{opt["world_size"]} processes; set a higher dataset_enlarge_ratio, or a smaller batch_size_per_gpu'
            )
        # BasicSR's loop runs from the first epoch to this one, both included.
        last = start['epoch'] + math.ceil((total - start['iter']) / len(loader)) - 1
        logger.info(f'{len(loader)} whole batches in an epoch; iteration {total} is in epoch {last}')
        return loader, sampler, val_loaders, last, total

    return create_loaders


def _repaired_parse_options(parse_options, change):
    def parse(root_path, is_train=True):
        paths = SimpleNamespace(**{**vars(os.path), 'expanduser': _expanduser})
        with _replaced(importlib.import_module('basicsr.utils.options'), {'init_dist': _init_dist, 'osp': paths}):
            opt, args = parse_options(root_path, is_train)
        opt['num_gpu'] = usable_gpus(opt)
        change(opt)
        if 'train' in opt['datasets']:
            leave_auto_to_the_dataset(opt['datasets']['train'])
        return opt, args

    return parse


def _expanduser(path):
    return [os.path.expanduser(each) for each in path] if isinstance(path, list) else os.path.expanduser(path)


def leave_auto_to_the_dataset(block):
    """Take ``dataset_enlarge_ratio: auto`` out of ``block``, because BasicSR would calculate with it."""
    if block.get('dataset_enlarge_ratio', 1) not in ('auto', None):
        return
    entry = dict(iter(DATASET_REGISTRY)).get(block['type'])
    if entry is not None and not getattr(entry, 'enlarges_itself', False):
        raise OptionError(
            f'datasets.train: {block["type"]} needs a number as dataset_enlarge_ratio; '
            'auto is for GTFolderDataset and PairedFolderDataset'
        )
    del block['dataset_enlarge_ratio']


def _init_dist(launcher, **kwargs):
    """BasicSR's ``init_dist``, which knows GPUs only, and gloo where there are none."""
    if torch.cuda.is_available() or launcher != 'pytorch':
        dist_util.init_dist(launcher, **kwargs)
    elif 'RANK' not in os.environ:
        raise OptionError(f'--launcher pytorch belongs to torchrun: {TORCHRUN.format(2)}')
    else:
        torch.distributed.init_process_group('gloo')


def usable_gpus(opt):
    """Without CUDA 0, whatever the option file says; without a launcher at most 1, whatever the machine has."""
    wanted = opt['num_gpu']
    if wanted and not torch.cuda.is_available():
        print('no CUDA device: training on the CPU')
        return 0
    if not opt['dist'] and wanted > 1:
        print(f'training on one of {wanted} GPUs; for all of them: {TORCHRUN.format(wanted)}')
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
            raise OptionError(f'{where}: {_one_line(error)}') from error
        return dataset

    return build


def _one_line(error):
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
    with _unchanged_randomness():
        copy.deepcopy(dataset)[0]


@contextlib.contextmanager
def _unchanged_randomness():
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
