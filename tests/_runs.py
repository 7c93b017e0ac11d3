"""Whole runs of ``ganzoo train`` in forked processes, which start at once and may be killed."""

import multiprocessing
import os
import resource
import signal
import socket
import sys
import time

import torch
import yaml
from _training import write_option_file, write_pairs

from basicsr_ganzoo.cli import main

R1 = {'r1': {'type': 'R1Regularizer', 'loss_weight': 1.0, 'interval': 4}}


def start(path, *flags, output='output.txt', **limits):
    """Start ``ganzoo train -opt PATH FLAGS`` beside PATH.

    ``die_after`` an iteration it is gone without a word; it can write no file above ``largest_file`` bytes. It takes
    a Ctrl-C whatever started the tests, unless it is to run ``in_background``, as a shell script starts a job.
    """
    (path.parent / output).write_text('')
    args = (path, flags, path.parent / output)
    process = multiprocessing.get_context('fork').Process(target=_train, args=args, kwargs=limits)
    process.start()
    return process


def train(path, *flags, **limits):
    """Run it to its end. Returns the exit code and what it has printed, log included."""
    process = start(path, *flags, **limits)
    process.join(200)
    return process.exitcode, output_of(path)


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def start_ranks(path, *flags, ranks=2, **limits):
    """Start as many processes as torchrun would, of which rank 0 writes output.txt, and rank 1 output1.txt."""
    common = {'WORLD_SIZE': str(ranks), 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port())}
    flags = ('--launcher', 'pytorch', *flags)
    return [
        start(path, *flags, output=f'output{rank or ""}.txt', env={**common, 'RANK': str(rank)}, **limits)
        for rank in range(ranks)
    ]


def train_ranks(path, *flags, **limits):
    """Run them to their end. Returns their exit codes and what rank 0 has printed."""
    processes = start_ranks(path, *flags, **limits)
    for process in processes:
        process.join(200)
    return [process.exitcode for process in processes], output_of(path)


def output_of(path):
    return (path.parent / 'output.txt').read_text()


def wait_for(path, text, process):
    """Wait until a run has printed ``text``."""
    for _ in range(2000):
        if text in output_of(path):
            return
        assert process.is_alive(), output_of(path)
        time.sleep(0.02)
    raise AssertionError(output_of(path))


def _train(path, flags, output, die_after=None, largest_file=None, env=None, in_background=False):
    signal.signal(signal.SIGINT, signal.SIG_IGN if in_background else signal.default_int_handler)
    os.chdir(path.parent)
    os.environ.update(env or {})
    output = os.open(output, os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = open(1, 'w', closefd=False), open(2, 'w', closefd=False)  # noqa: SIM115
    if die_after is not None:
        _die_after(die_after)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    try:
        main(['train', '-opt', str(path), *flags])
    except SystemExit as stopped:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(stopped.code or 0)


def _die_after(iteration):
    from basicsr_ganzoo.trainer.loop import Loop

    step = Loop._step

    def step_and_die(loop, batch):
        step(loop, batch)
        if loop.iteration == iteration:
            os._exit(9)

    Loop._step = step_and_die


def results(folder, iteration, state=None):
    """All tensors and numbers of a checkpoint, by file; ``latest`` networks need the iteration of a ``state``."""
    home = folder / 'experiments/gan_x4'
    files = [*(home / 'models').glob(f'*_{iteration}.pth'), home / f'training_states/{state or iteration}.state']
    return {path.name: torch.load(path, weights_only=True) for path in files}


def paired(folder, **changes):
    """GANZooModel on pairs, three batches in an epoch, with what has a memory: lazy R1, a held rho, spectral norm."""
    folder.mkdir(parents=True, exist_ok=True)
    psnr = {'type': 'calculate_psnr', 'crop_border': 4, 'test_y_channel': False}
    changes = {
        'total_iter': 10,
        'val': {'val_freq': 2, 'save_img': False, 'metrics': {'psnr': psnr}},
        'datasets__train__type': 'PairedFolderDataset',
        'datasets__train__dataset_enlarge_ratio': 1,
        'datasets__train__num_worker_per_gpu': 2,
        'logger__save_checkpoint_freq': 4,
        'train__d_reg_opt': R1,
        'train__gan_weight_opt': {'type': 'GANWeightTargetRho'},
        'train__scheduler': {'type': 'MultiStepLR', 'milestones': [5, 9], 'gamma': 0.5},
        **changes,
    }
    path = write_option_file(folder, **changes)
    write_pairs(folder / 'data', count=7)
    return path


def stock(folder, **changes):
    """BasicSR's SRGANModel on the same pairs."""
    none = dict.fromkeys(('train__d_reg_opt', 'train__gan_weight_opt'))
    gan = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 0.1}
    return paired(folder, model_type='SRGANModel', train__gan_opt=gan, **{**none, **changes})


def degrading(folder, **changes):
    """RealESRGANZooModel with kernels and a pool that is full at the checkpoint."""
    names = {'name': 'n', 'type': 'GTFolderDataset', 'dataroot_gt': str(folder / 'data/gt'), 'degradation': 'real'}
    sizes = {'gt_size': 32, 'crop_pad_size': 76, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 2}
    path = paired(folder, model_type='RealESRGANZooModel', **changes)
    opt = yaml.safe_load(path.read_text())
    opt['datasets']['train'] = {**names, **sizes, 'use_rot': True}
    opt.update(gt_size=32, queue_size=6, degradation='real')
    path.write_text(yaml.safe_dump(opt))
    return path
