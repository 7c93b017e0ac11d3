"""Measures the training step of an option file's model, alone or in turns with another model."""

from basicsr_ganzoo.config.build import gt_size
from basicsr_ganzoo.profiling.bench_models import SPEED_KEYS, own_options, plain_options, stock_options
from basicsr_ganzoo.profiling.mock_weights import vgg_is_random
from basicsr_ganzoo.profiling.report import MEDIANS, environment, ratios, summary
from basicsr_ganzoo.profiling.subprocess import BenchProcess


def run(opt, against=None, steps=10, folder='.'):
    """Measure the steps of an option file's model, and of another one, in turns; each has a process of its own.

    Args:
        opt: the content of the option file.
        against: ``stock`` for BasicSR's model, ``plain`` for ours without the options for speed, or None.
        steps: number of timed steps of each, after those that count FLOPs and bytes.
        folder: of the option file, for its imports.

    Returns:
        dict, as ``ganzoo bench --json`` prints it.

    Raises:
        OptionError: a model cannot be built or take a step.
    """
    own, left_out = own_options(opt), []
    options = {'ours': own}
    if against == 'stock':
        options['stock'], left_out = stock_options(opt)
    elif against == 'plain':
        options['plain'] = plain_options(opt)
    records = _measure(options, (opt.get('imports') or [], str(folder)), steps)
    return {
        'option_file': opt['name'],
        'batch': own['datasets']['train']['batch_size_per_gpu'],
        'gt_size': gt_size(own),
        'steps': steps,
        'environment': environment(own['num_gpu'] > 0),
        'results': {name: summary(record) for name, record in records.items()},
        **({'ratios': ratios(*records.values())} if against else {}),
        'notes': list(_notes(own, steps, left_out)),
    }


def _measure(options, imports, steps):
    """Take the steps of the models in turns. Returns their records by name."""
    processes = {}
    try:
        for name, each in options.items():
            keep_memory = name != 'stock' and not each['num_gpu']
            processes[name] = BenchProcess(name, each, imports, keep_memory)
        for process in processes.values():
            process.receive()
        for turn in range(steps):
            for name in list(processes)[:: 1 if turn % 2 else -1]:
                processes[name].call('timed_step')
        return {name: process.call('record') for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.end()


def _notes(opt, steps, left_out):
    train, size = opt['train'], gt_size(opt)
    values = {key: train.get(key) for key in SPEED_KEYS}
    speed = ', '.join(f'{k}: {str(v).lower()}' for k, v in values.items() if v not in (None, False, 'off'))
    batch = opt['datasets']['train']['batch_size_per_gpu']
    yield f'A step of batch {batch} of {size}x{size} pixels; {steps} steps; {speed or "no options for speed"}.'
    yield f'{MEDIANS} Bytes are those of all tensors: weights, optimizer and what a step adds.'
    if not opt['num_gpu']:
        yield 'On a CPU our model keeps freed memory, as `ganzoo train` does.'
    if train.get('compile'):
        yield 'Times exclude compilation; FLOPs and bytes are those without compile.'
    if vgg_is_random(opt):
        yield 'The perceptual network has random weights, because its file is missing; this costs the same.'
    if left_out:
        yield f"BasicSR's model does not support {', '.join(left_out)}."
