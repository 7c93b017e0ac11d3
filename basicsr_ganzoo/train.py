"""Train what an option file describes: ``python -m basicsr_ganzoo.train -opt FILE``, with BasicSR's flags.

Experiments are written to, and resumed from, ``experiments/`` under the current directory.
"""

import argparse
import contextlib
import copy
import importlib
import importlib.util
import os
import random
import sys
from pathlib import Path

from basicsr_ganzoo._options import OptionError, check_choice, lookup

NEEDED = ('name', 'model_type', 'num_gpu', 'datasets', 'network_g', 'path', 'train', 'logger')
TORCHRUN = 'torchrun --nproc_per_node {} -m basicsr_ganzoo.train ... --launcher pytorch'


def add_arguments(parser):
    """The flags of BasicSR's train.py."""
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='as for torchrun')
    parser.add_argument('--auto_resume', action='store_true', help='go on from the newest state of this experiment')
    parser.add_argument('--debug', action='store_true', help='validate and save after 8 iterations')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by old launchers; not needed')
    parser.add_argument('--force_yml', nargs='+', metavar='KEY:KEY=VALUE', help='overwrite values of the option file')


def run(args):
    """Train. Drives BasicSR's ``train_pipeline`` with the repairs that today's PyTorch and a CPU need.

    Raises:
        OptionError: the option file, or something that it names, is wrong.
    """
    from basicsr_ganzoo import _registry

    opt = read_options(args.opt)
    _registry.import_submodules()
    from basicsr.utils.registry import MODEL_REGISTRY

    _import_plugins(opt.get('imports') or [], Path(args.opt).parent)
    lookup(MODEL_REGISTRY, opt['model_type'])
    pipeline = importlib.import_module('basicsr.train')
    repairs = {
        'parse_options': _repaired_parse_options(pipeline.parse_options),
        'build_dataset': _repaired_build_dataset(pipeline.build_dataset),
        'load_resume_state': load_resume_state,
    }
    with _replaced(pipeline, repairs), _replaced(sys, {'argv': _basicsr_argv(args)}):
        pipeline.train_pipeline(os.getcwd())


def read_options(path):
    """Read an option file and check that it is one.

    Raises:
        OptionError: no such file, no YAML, or a top-level key is missing.
    """
    import yaml

    if not Path(path).is_file():
        raise OptionError(f'-opt names no file: {path}')
    try:
        opt = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f'{path} is not YAML: {" ".join(str(error).split())}') from error
    if not isinstance(opt, dict):
        raise OptionError(f'{path} is no option file: it holds no keys')
    missing = [key for key in NEEDED if key not in opt]
    if missing:
        raise OptionError(f'{path} lacks {", ".join(missing)}')
    if 'train' not in opt['datasets']:
        raise OptionError(f'{path} lacks datasets.train')
    return opt


def load_resume_state(opt):
    """The training state to go on from, or None; found where this run writes, and loaded to the CPU."""
    import torch
    from basicsr.utils import check_resume

    path = opt['path'].get('resume_state')
    if opt['auto_resume']:
        states = list(Path(opt['path']['training_states']).glob('*.state'))
        path = max(states, key=lambda state: int(state.stem), default=None)
        print(f'resuming from {path}' if path else f'nothing to resume in {opt["path"]["training_states"]}')
    if not path:
        return None
    if not Path(path).is_file():
        raise OptionError(f'path.resume_state names no file: {path}')
    opt['path']['resume_state'] = str(path)
    state = torch.load(path, map_location='cpu', weights_only=True)
    check_resume(opt, state['iter'])
    return state


def _basicsr_argv(args):
    argv = ['train', '-opt', args.opt, '--launcher', args.launcher]
    argv += [flag for flag, wanted in (('--auto_resume', args.auto_resume), ('--debug', args.debug)) if wanted]
    return argv + (['--force_yml', *args.force_yml] if args.force_yml else [])


def _repaired_parse_options(parse_options):
    def parse(root_path, is_train=True):
        with _replaced(importlib.import_module('basicsr.utils.options'), {'init_dist': _init_dist}):
            opt, args = parse_options(root_path, is_train)
        opt['num_gpu'] = _usable_gpus(opt)
        return opt, args

    return parse


def _init_dist(launcher, **kwargs):
    """BasicSR's ``init_dist``, which knows GPUs only, and gloo where there are none."""
    import torch
    from basicsr.utils.dist_util import init_dist

    if torch.cuda.is_available() or launcher != 'pytorch':
        init_dist(launcher, **kwargs)
    elif 'RANK' not in os.environ:
        raise OptionError(
            '--launcher pytorch belongs to torchrun: torchrun --nproc_per_node 2 -m basicsr_ganzoo.train ...'
        )
    else:
        torch.distributed.init_process_group('gloo')


def _usable_gpus(opt):
    """Without CUDA 0, whatever the option file says; without a launcher at most 1, whatever the machine has."""
    import torch

    wanted = opt['num_gpu']
    if wanted and not torch.cuda.is_available():
        print('no CUDA device: training on the CPU')
        return 0
    if not opt['dist'] and wanted > 1:
        print(
            f'training on one of {wanted} GPUs; for all: torchrun --nproc_per_node {wanted} -m basicsr_ganzoo.train ...'
        )
        return 1
    return wanted


def _repaired_build_dataset(build_dataset):
    def build(block):
        where = f'datasets.{block["phase"]}'
        try:
            _check_dataset_type(block)
            dataset = build_dataset(block)
            if block['phase'] == 'train':
                _check_train_set(dataset, block)
        except KeyError as error:
            raise OptionError(f'{where} lacks {error}') from error
        except (AssertionError, NotImplementedError, OSError, TypeError, ValueError) as error:
            raise OptionError(f'{where}: {_one_line(error)}') from error
        return dataset

    return build


def _one_line(error):
    # BasicSR raises some errors with a message in two arguments.
    text = ''.join(error.args) if all(isinstance(arg, str) for arg in error.args) else str(error)
    return ' '.join(text.split())


def _check_dataset_type(block):
    from basicsr.utils.registry import DATASET_REGISTRY

    lookup(DATASET_REGISTRY, block['type'])


def _check_train_set(dataset, block):
    batch = block['batch_size_per_gpu']
    if len(dataset) * block.get('dataset_enlarge_ratio', 1) < batch:
        ratio = -(-batch // max(len(dataset), 1))
        raise OptionError(
            f'{len(dataset)} pictures are fewer than a batch of {batch}; '
            f'set dataset_enlarge_ratio to {ratio} or more, or a smaller batch_size_per_gpu'
        )
    # The first picture tells whether scale and gt_size fit; a copy reads it, so that workers open files of their own.
    with _unchanged_randomness():
        copy.deepcopy(dataset)[0]


@contextlib.contextmanager
def _unchanged_randomness():
    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _import_plugins(names, folder):
    """Import what the option file's ``imports`` names: modules, or .py files relative to the option file."""
    check_choice('the option file', 'the kind of imports', type(names).__name__, ('list',))
    for name in names:
        try:
            if name.endswith('.py'):
                spec = importlib.util.spec_from_file_location(Path(name).stem, folder / name)
                module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
            else:
                importlib.import_module(name)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            raise OptionError(f'imports: cannot import {name}: {error}') from error


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


def main():
    """The command ``python -m basicsr_ganzoo.train``."""
    from basicsr_ganzoo.cli import report_mistakes

    parser = argparse.ArgumentParser('python -m basicsr_ganzoo.train', description=__doc__)
    add_arguments(parser)
    sys.exit(report_mistakes(run, parser.parse_args()))


if __name__ == '__main__':
    main()
