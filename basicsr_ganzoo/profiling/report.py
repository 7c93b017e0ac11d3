"""Summaries of the bench's measurements, and their table.

A record is a dict whose lists are measurements, taken in turns with those of another record.
"""

import platform
import statistics
from pathlib import Path

import basicsr
import torch
from rich import box
from rich.console import Console
from rich.table import Table

MEDIANS = 'Times are medians with quartiles.'
ROWS = {
    'cpu_s': ('CPU time', lambda v: f'{v:.3g} s'),
    'wall_s': ('wall time', lambda v: f'{v:.3g} s'),
    'flops': ('FLOPs', lambda v: f'{v / 1e9:.1f} G'),
    'peak_bytes': ('peak bytes', lambda v: f'{v / 2**20:.0f} MiB'),
    'samples_per_s': ('samples / s', lambda v: f'{v:.1f}'),
    'ratio': ('', lambda v: f'{v:.3f}'),
}


def summary(record):
    """A record with medians in place of its lists, and quartiles beside them."""
    lists = {key: values for key, values in record.items() if isinstance(values, list)}
    medians = {key: statistics.median(values) for key, values in lists.items()}
    return {**record, **medians, **{f'{key}_quartiles': _quartiles(values) for key, values in lists.items()}}


def ratios(ours, other):
    """Ours divided by the other, turn by turn: median and quartiles of each measurement."""
    lists = {key: values for key, values in ours.items() if isinstance(values, list)}
    pairs = {key: [a / b for a, b in zip(values, other[key], strict=True)] for key, values in lists.items()}
    return {key: summary({'ratio': values}) for key, values in pairs.items()}


def _quartiles(values):
    return statistics.quantiles(values, n=4, method='inclusive')[::2] if len(values) > 1 else [values[0]] * 2


def environment(on_gpu):
    """The hardware and the versions that a measurement belongs to, as text."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    device = torch.cuda.get_device_name() if on_gpu else f'CPU, {names[0] if names else platform.processor()}'
    return f'{device}, {torch.get_num_threads()} thread(s), torch {torch.__version__}, BasicSR {basicsr.__version__}'


def print_report(report):
    """Print what ``bench_step.run`` or ``bench_data.run`` returned."""
    console, results = Console(), report['results'].values()
    console.print(f'{report["option_file"]}; {report["environment"]}', highlight=False)
    table = Table('', *[f'{name}\n{result["type"]}' for name, result in report['results'].items()], box=box.HORIZONTALS)
    if 'ratios' in report:
        table.add_column('ratio\n(quartiles)')
    for key, (label, _) in ROWS.items():
        if all(key in result for result in results):
            ratio = [_cell('ratio', report['ratios'][key])] if 'ratios' in report else []
            table.add_row(label, *[_cell(key, result) for result in results], *ratio)
    console.print(table)
    for note in report['notes']:
        console.print(note, highlight=False)


def _cell(key, result):
    text, quartiles = ROWS[key][1], result[f'{key}_quartiles']
    spread = f'\n({text(quartiles[0]).split()[0]} to {text(quartiles[1]).split()[0]})'
    return text(result[key]) + (spread if quartiles[0] != quartiles[1] else '')
