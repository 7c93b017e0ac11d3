"""The two training stages, driven by the option files in options/demo."""

import logging
import os
import random

import numpy as np
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.utils import tensor2img
from torch.utils.data import DataLoader

from basicsr_ganzoo.config.shipped import options_root
from basicsr_ganzoo.files import whole_file

STAGES = ('l1', 'gan')
DEFAULT_OUT = 'ganzoo_demo/'  # as the option files have it
LOG_EVERY = 10  # iterations; reading the log is not free


def stage_options(out, iters, seed):
    """The options of both stages, as dicts by stage: the option files with ``out``, ``iters`` and ``seed`` put in."""
    files = {stage: options_root() / 'demo' / f'demo_{stage}.yml' for stage in STAGES}
    opts = {stage: relocated(yaml.safe_load(file.read_text(encoding='utf-8')), out) for stage, file in files.items()}
    lengths = split_iterations(iters, *(opts[stage]['train']['total_iter'] for stage in STAGES))
    for opt, length in zip(opts.values(), lengths, strict=True):
        opt['manual_seed'] = seed
        opt['train']['total_iter'] = length
        opt['train']['scheduler']['periods'] = [length]
    return opts


def relocated(value, out):
    """``value`` (mappings, lists, scalars) with every path below the demo's default folder moved to ``out``."""
    if isinstance(value, dict):
        return {key: relocated(item, out) for key, item in value.items()}
    if isinstance(value, list):
        return [relocated(item, out) for item in value]
    if isinstance(value, str) and value.startswith(DEFAULT_OUT):
        return str(out / value.removeprefix(DEFAULT_OUT))
    return value


def split_iterations(iters, first, second):
    """Split ``iters`` (None: ``first + second``) in the proportion of ``first`` and ``second``, at least 1 each."""
    if iters is None:
        return first, second
    head = min(max(round(iters * first / (first + second)), 1), iters - 1)
    return head, iters - head


def write_options(opt, path):
    """Write options as a file that can be trained with again."""
    with whole_file(path) as part:
        header = f'# What `ganzoo demo` ran. To train with it again: ganzoo train -opt {path}\n'
        part.write_text(header + yaml.safe_dump(opt, sort_keys=False), encoding='utf-8')


def train(opt, progress):
    """Train one stage. Returns the model and its log, a list of dicts with ``iter`` and the model's numbers."""
    seed_everything(opt['manual_seed'])
    model = build_model(runtime_options(opt))
    batches = endless_batches(opt)
    log = []
    for iteration in range(1, opt['train']['total_iter'] + 1):
        model.update_learning_rate(iteration, warmup_iter=-1)
        model.feed_data(next(batches))
        model.optimize_parameters(iteration)
        if iteration % LOG_EVERY == 0 or iteration in (1, opt['train']['total_iter']):
            log.append({'iter': iteration, **model.get_current_log()})
        progress(iteration, log[-1]['l_g_pix'])
    return model, log


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def runtime_options(opt):
    """``opt`` with what BasicSR's train script adds; without its logger, which prints whole networks."""
    logging.getLogger('basicsr').setLevel(logging.WARNING)
    return {**opt, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1}


def dataset_of(opt, phase):
    return build_dataset({**opt['datasets'][phase], 'phase': phase, 'scale': opt['scale']})


def endless_batches(opt):
    """Yield shuffled training batches for ever."""
    generator = torch.Generator().manual_seed(opt['manual_seed'])
    batch_size = opt['datasets']['train']['batch_size_per_gpu']
    loader = DataLoader(dataset_of(opt, 'train'), batch_size, shuffle=True, drop_last=True, generator=generator)
    while True:
        yield from loader


def save(model, path):
    """Save the generator as BasicSR does: ``params`` and ``params_ema``."""
    nets = {'params': model.net_g, 'params_ema': model.net_g_ema}
    with whole_file(path) as part:
        torch.save({key: net.state_dict() for key, net in nets.items()}, part)


def restore(model, opt):
    """The averaged generator's pictures of the held-out set: (H, W, 3) BGR in 8 bits, by name of the picture."""
    pictures = {}
    for sample in DataLoader(dataset_of(opt, 'val')):
        model.feed_data({'lq': sample['lq']})
        model.test()
        name = os.path.splitext(os.path.basename(sample['lq_path'][0]))[0]
        pictures[name] = tensor2img(model.get_current_visuals()['result'])
    return pictures
