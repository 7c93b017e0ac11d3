"""The race itself: starts the contestants, interleaves their steps, and sums up."""

import math
import platform
import statistics

import basicsr
import torch

from basicsr_ganzoo.config.build import gt_size
from basicsr_ganzoo.profiling.bench_models import SPEED_KEYS, own_options, plain_options, stock_options
from basicsr_ganzoo.profiling.mock_weights import vgg_is_random
from basicsr_ganzoo.profiling.subprocess import Apart

MEASURES = ('cpu_s', 'wall_s', 'flops', 'peak_bytes')


def run(opt, against=None, steps=10, folder='.'):
    """Measure the step of an option file's model, and of a rival's.

    Each is in a process of its own, and they take turns. On a CPU ours keeps the memory that it frees, as our training
    does and BasicSR's does not.

    Args:
        opt: the content of the option file.
        against: ``stock`` for BasicSR's model, ``plain`` for ours without the keys for speed, None for no rival.
        steps: so many steps of each are timed, after two that count FLOPs and bytes.
        folder: of the option file, for what it imports.

    Returns:
        dict, as ``ganzoo bench --json`` prints it.

    Raises:
        OptionError: a model cannot be built or take a step.
    """
    own, left_out = own_options(opt), []
    fields = {'ours': own}
    if against == 'stock':
        fields['stock'], left_out = stock_options(opt)
    elif against == 'plain':
        fields['plain'] = plain_options(opt)
    field = _race(fields, (opt.get('imports') or [], str(folder)), steps)
    return {
        'option_file': opt['name'],
        'batch': own['datasets']['train']['batch_size_per_gpu'],
        'gt_size': gt_size(own),
        'steps': steps,
        'keys': {key: own['train'][key] for key in SPEED_KEYS if own['train'].get(key) not in (None, False, 'off')},
        'compile_failed': field[0]['compile_failed'],
        'random_vgg': vgg_is_random(own),
        'left_out_by_stock': left_out,
        'environment': environment(torch.device('cuda' if own['num_gpu'] else 'cpu')),
        'results': {record['name']: _sum_up(record) for record in field},
        **({'ratios': _ratios(*field), 'loss_difference': _loss_difference(*field)} if len(field) > 1 else {}),
    }


def _race(fields, imports, steps):
    """Let the contestants, options by name, take turns. Returns what was measured of each."""
    field = []
    try:
        for name, options in fields.items():
            field.append(Apart(name, options, imports, keeps_memory=name != 'stock' and not options['num_gpu']))
        for contestant in field:
            contestant.wait()
        for turn in range(steps):
            for contestant in field if turn % 2 else field[::-1]:
                contestant.take_timed_step()
        return [contestant.result() for contestant in field]
    finally:
        for contestant in field:
            contestant.end()


def _sum_up(record):
    """The medians of a contestant, and the quartiles of its times."""
    return {
        'model': record['model'],
        'cpu_s': statistics.median(record['cpu']),
        'cpu_s_quartiles': quartiles(record['cpu']),
        'wall_s': statistics.median(record['wall']),
        'wall_s_quartiles': quartiles(record['wall']),
        'flops': record['flops'],
        'peak_bytes': record['bytes'],
    }


def _ratios(ours, rival):
    """Ours over the rival's: the median over the pairs of neighbouring steps, with quartiles."""
    ratios = {
        'flops': {'ratio': ours['flops'] / rival['flops']},
        'peak_bytes': {'ratio': ours['bytes'] / rival['bytes']},
    }
    for key in ('cpu', 'wall'):
        pairs = [a / b for a, b in zip(ours[key], rival[key], strict=True)]
        ratios[f'{key}_s'] = {'ratio': statistics.median(pairs), 'quartiles': quartiles(pairs)}
    return {measure: ratios[measure] for measure in MEASURES}


def _loss_difference(ours, rival):
    """The largest relative difference between the losses of the first step; None where they share no loss."""
    one, other = ours['losses'], rival['losses']
    shared = [key for key in one if key.startswith('l_') and key in other]
    differences = [abs(one[key] - other[key]) / max(abs(other[key]), 1e-12) for key in shared]
    return max(differences) if differences and all(map(math.isfinite, differences)) else None


def quartiles(values):
    """The first and the third quartile."""
    return statistics.quantiles(values, n=4, method='inclusive')[::2] if len(values) > 1 else [values[0]] * 2


def environment(device):
    """What has to be known of the machine to read a figure."""
    return {
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else f'CPU, {_processor()}',
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'basicsr': getattr(basicsr, '__version__', 'unknown'),
    }


def _processor():
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.split(':')[1].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
