"""The race itself: builds the contestants, interleaves their steps, and sums up."""

import contextlib
import copy
import io
import logging
import math
import platform
import statistics

import basicsr
import torch
from basicsr.models import build_model

from basicsr_ganzoo.bench.contestants import SPEED_KEYS, batches, gt_size, own_options, plain_options, stock_options
from basicsr_ganzoo.bench.meters import Contestant
from basicsr_ganzoo.bench.stand_ins import cuda_is_the_device, random_vgg, vgg_is_random

MEASURES = ('cpu_s', 'wall_s', 'flops', 'peak_bytes')


def run(opt, against=None, steps=10):
    """Measure the step of an option file's model, and of a rival's.

    Args:
        opt: the content of the option file.
        against: ``stock`` for BasicSR's model, ``plain`` for ours without the keys for speed, None for no rival.
        steps: so many steps of each are timed, after two that count FLOPs and bytes.

    Returns:
        dict, as ``ganzoo bench --json`` prints it.
    """
    own, left_out = own_options(opt), []
    fields = {'ours': own}
    if against == 'stock':
        fields['stock'], left_out = stock_options(opt)
    elif against == 'plain':
        fields['plain'] = plain_options(opt)
    with silence():
        field = [_enter(name, options) for name, options in fields.items()]
        for contestant in field:
            contestant.settle()
        for turn in range(steps):
            for contestant in field if turn % 2 else field[::-1]:
                contestant.take_timed_step()
    results = {contestant.name: _sum_up(contestant) for contestant in field}
    return {
        'option_file': opt['name'],
        'batch': own['datasets']['train']['batch_size_per_gpu'],
        'gt_size': gt_size(own),
        'steps': steps,
        'keys': {
            key: value for key, value in own['train'].items() if key in SPEED_KEYS and value not in (False, 'off')
        },
        'compile_failed': field[0].compiler.failure,
        'random_vgg': vgg_is_random(own),
        'left_out_by_stock': left_out,
        'environment': environment(field[0].model.device),
        'results': results,
        **({'ratios': _ratios(*field), 'loss_difference': _loss_difference(*field)} if len(field) > 1 else {}),
    }


def _enter(name, options):
    def build():
        torch.manual_seed(0)
        device = torch.device('cuda' if options['num_gpu'] else 'cpu')
        with random_vgg(options), cuda_is_the_device(device):
            return build_model(copy.deepcopy(options))

    first = options['train'].get('net_d_init_iters', 0) + 1
    first += -first % options['train'].get('net_d_iters', 1)
    return Contestant(name, build, batches(options), first)


def _sum_up(contestant):
    """The medians of a contestant, and the quartiles of its times."""
    return {
        'model': type(contestant.model).__name__,
        'cpu_s': statistics.median(contestant.cpu),
        'cpu_s_quartiles': quartiles(contestant.cpu),
        'wall_s': statistics.median(contestant.wall),
        'wall_s_quartiles': quartiles(contestant.wall),
        'flops': contestant.flops,
        'peak_bytes': contestant.bytes,
    }


def _ratios(ours, rival):
    """Ours over the rival's: the median over the pairs of neighbouring steps, with quartiles."""
    ratios = {'flops': {'ratio': ours.flops / rival.flops}, 'peak_bytes': {'ratio': ours.bytes / rival.bytes}}
    for key in ('cpu', 'wall'):
        pairs = [a / b for a, b in zip(getattr(ours, key), getattr(rival, key), strict=True)]
        ratios[f'{key}_s'] = {'ratio': statistics.median(pairs), 'quartiles': quartiles(pairs)}
    return {measure: ratios[measure] for measure in MEASURES}


def _loss_difference(ours, rival):
    """The largest relative difference between the losses of the first step; None where they share no loss."""
    one, other = ours.losses[0], rival.losses[0]
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


@contextlib.contextmanager
def silence():
    """Keep the descriptions of networks that BasicSR logs and prints out of the report."""
    logger = logging.getLogger('basicsr')
    before, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = before
