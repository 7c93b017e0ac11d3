"""Small option files, data and runs for the tests of models and commands."""

import copy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

SCALE = 4
OPTIONS = Path(__file__).parent.parent / 'options'


def model_opt(model_type='GANZooModel', gan_opt=None, network_d=None, **train):
    """What ``build_model`` takes, for a generator of some thousand parameters. ``train`` goes over the defaults."""
    adam = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]}
    opt = {
        'name': 'test',
        'model_type': model_type,
        'scale': SCALE,
        'num_gpu': 0,
        'is_train': True,
        'dist': False,
        'rank': 0,
        'world_size': 1,
        'path': {},
        'network_g': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': SCALE},
        'train': {
            'ema_decay': 0.9,
            'optim_g': dict(adam),
            'scheduler': {'type': 'MultiStepLR', 'milestones': [1000], 'gamma': 0.5},
            'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1e-2, 'reduction': 'mean'},
        },
    }
    if gan_opt:
        opt['network_d'] = network_d or {'type': 'VGGDiscriminator', 'num_feat': 8}
        opt['train'].update(gan_opt=gan_opt, optim_d=dict(adam))
    opt['train'].update(train)
    return copy.deepcopy(opt)


def batches(count, gt_size=128, batch_size=2, seed=1):
    """Random pairs, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    lq_size = gt_size // SCALE
    for _ in range(count):
        lq = torch.rand(batch_size, 3, lq_size, lq_size, generator=generator)
        yield {'lq': lq, 'gt': torch.rand(batch_size, 3, gt_size, gt_size, generator=generator)}


def train_steps(opt, count=5, seed=0, gt_size=128):
    """Build the model from ``seed`` and take ``count`` steps. Returns the model and the log of each step."""
    from basicsr.models import build_model

    torch.manual_seed(seed)
    model = build_model(opt)
    logs = []
    for current_iter, batch in enumerate(batches(count, gt_size), start=1):
        model.update_learning_rate(current_iter)
        model.feed_data(batch)
        model.optimize_parameters(current_iter)
        logs.append(dict(model.get_current_log()))
    return model, logs


def write_pairs(folder, count=4, gt_size=64, scale=SCALE, seed=0):
    """Write ``count`` smooth random pictures to folder/gt and, ``scale`` times smaller, to folder/lq."""
    rng = np.random.default_rng(seed)
    for name in ('gt', 'lq'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        lq = rng.integers(0, 255, (gt_size // scale, gt_size // scale, 3), dtype=np.uint8)
        gt = cv2.resize(lq, (gt_size, gt_size), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / 'gt' / f'{index}.png'), gt)
        cv2.imwrite(str(folder / 'lq' / f'{index}.png'), lq)


def write_option_file(folder, total_iter=4, **changes):
    """Write the shipped gan_x4.yml, shrunken to run on a CPU in seconds, with its data. Returns its path.

    ``changes`` maps keys, with ``__`` between the levels, to values; None removes the key.
    """
    write_pairs(folder / 'data')
    opt = yaml.safe_load((OPTIONS / 'train' / 'gan_x4.yml').read_text())
    for phase, block in opt['datasets'].items():
        block.update(dataroot_gt=str(folder / 'data/gt'), dataroot_lq=str(folder / 'data/lq'))
        if phase == 'train':
            block.update(gt_size=32, batch_size_per_gpu=2, num_worker_per_gpu=0)
    opt['network_g'] = {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 1, 'upscale': SCALE}
    opt['network_d']['num_feat'] = 4
    opt['train']['total_iter'] = total_iter
    del opt['train']['perceptual_opt']
    opt['val'].update(val_freq=total_iter, save_img=False)
    opt['logger'].update(print_freq=1, save_checkpoint_freq=2, use_tb_logger=False)
    for key, value in changes.items():
        *parents, last = key.split('__')
        block = opt
        for parent in parents:
            block = block[parent]
        if value is None:
            block.pop(last, None)
        else:
            block[last] = value
    path = folder / 'option.yml'
    path.write_text(yaml.safe_dump(opt))
    return path


def write_narrowed(path, folder):
    """Write a shipped option file for small images, narrow networks and two iterations, each of which is saved.

    G learns in the second one. Every other value stays as it was shipped. Returns the path.
    """
    opt = yaml.safe_load(path.read_text())
    pictures = {f'dataroot_{kind}': str(folder / 'data' / kind) for kind in ('gt', 'lq')}
    sizes = {'gt_size': 96, 'crop_pad_size': 96, 'queue_size': 2}
    widths = {'num_feat': 4, 'num_block': 1, 'num_conv': 1, 'num_grow_ch': 4}
    for block in opt['datasets'].values():
        block.pop('meta_info', None)
        block.update({key: pictures[key] for key in pictures if key in block}, num_worker_per_gpu=0)
    opt['datasets']['train'].update(batch_size_per_gpu=2)
    for block, smaller in ((opt, sizes), (opt['datasets']['train'], sizes)):
        block.update({key: value for key, value in smaller.items() if key in block})
    discriminators = [block['network_d'] for block in opt.get('adversaries', {}).values()]
    for block in (opt['network_g'], opt.get('network_d', {}), *discriminators):
        block.update({key: value for key, value in widths.items() if key in block})
    opt['path'].update(pretrain_network_g=None, pretrain_network_d=None)
    for key, most in (('net_d_init_iters', 1), ('net_d_iters', 2)):
        opt['train'][key] = min(most, opt['train'].get(key, most))
    opt['train'].update(total_iter=2)
    opt['logger'].update(print_freq=1, save_checkpoint_freq=1)
    write_pairs(folder / 'data', gt_size=96, scale=opt['scale'])
    narrowed = folder / 'option.yml'
    narrowed.write_text(yaml.safe_dump(opt, sort_keys=False))
    return narrowed


def run_python(*args, cwd, timeout=300, **kwargs):
    """Run ``python ARGS`` in a fresh process; returns the finished process with its text output."""
    return subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=timeout, **kwargs
    )
