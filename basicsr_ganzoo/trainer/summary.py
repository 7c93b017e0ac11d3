"""The summary in the log before the first step: device, images, iterations, batch, output folder."""

import dataclasses

import torch

from basicsr_ganzoo.config.runtime import TORCHRUN


def introduction(opt, model, data, iteration):
    """The summary of a training that is about to continue after ``iteration``."""
    total = opt['train']['total_iter']
    rest = f'iterations {iteration + 1:,} to {total:,}' if iteration < total else f'all {total:,} iterations are done'
    lines = [
        f'Training on {_device(opt)}: {len(data.dataset):,} images, {rest}, {data.per_epoch:,} in an epoch.',
        f'Batch size per gpu: {data.batch_size}',
        f'World size (gpu number): {opt["world_size"]}',
        f'Images in a step: {_images(opt, model, data)}',
        *_speed(model),
        f'Writing to: {opt["path"]["experiments_root"]}',
    ]
    return '\n\t'.join(lines)


def _device(opt):
    if not opt['num_gpu']:
        return 'the CPU'
    name, count = torch.cuda.get_device_name(), torch.cuda.device_count()
    if opt['dist'] or count == 1:
        return name
    return f'{name}, one of {count} GPUs (for all of them: {TORCHRUN.format(count)})'


def _images(opt, model, data):
    parts = getattr(getattr(model, 'speed', None), 'accumulate', 1)
    factors = [f'{data.batch_size} in each of {opt["world_size"]} processes'] if opt['world_size'] > 1 else []
    factors += [f'{parts} parts of {data.batch_size // parts}, one after the other'] if parts > 1 else []
    return f'{data.whole_batch} ({", ".join(factors)})' if factors else data.whole_batch


def _speed(model):
    """The enabled options that make a step faster or smaller."""
    speed = getattr(model, 'speed', None)
    fields = dataclasses.fields(speed) if dataclasses.is_dataclass(speed) else ()
    enabled = [f'{f.name}: {_as_yaml(getattr(speed, f.name))}' for f in fields if getattr(speed, f.name) != f.default]
    return [f'Speed and memory: {", ".join(enabled)}'] if enabled else []


def _as_yaml(value):
    return str(value).lower() if isinstance(value, bool) else value
