"""The demo's numbers: as a file, as a table and in words."""

import json

import numpy as np
from rich.table import Table

from basicsr_ganzoo.files import whole_file

COLUMNS = {'psnr': ('PSNR dB', '.2f'), 'ssim': ('SSIM', '.4f'), 'niqe': ('NIQE', '.2f'), 'hf': ('HF of GT', '.0%')}


def means(scores):
    """The mean over the pictures: ``scores`` by picture, method and metric -> by method and metric."""
    first = next(iter(scores.values()))
    return {
        method: {metric: round(float(np.mean([s[method][metric] for s in scores.values()])), 4) for metric in metrics}
        for method, metrics in first.items()
    }


def final_values(log):
    """The mean of each number of a stage's log over its last tenth, without the iteration."""
    tail = log[-max(len(log) // 10, 1) :]
    return {name: round(float(np.mean([row[name] for row in tail])), 6) for name in tail[0] if name != 'iter'}


def write_report(report, path):
    with whole_file(path) as part:
        part.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')


def table(report):
    """The scores of the report as a table for the terminal."""
    grid = Table(title='Held-out pictures')
    for heading in ('picture', 'method'):
        grid.add_column(heading)
    for heading, _ in COLUMNS.values():
        grid.add_column(heading, justify='right')
    for picture, methods in {**report['pictures'], 'mean': report['mean']}.items():
        for method, numbers in methods.items():
            cells = (format(numbers[m], spec) if m in numbers else '' for m, (_, spec) in COLUMNS.items())
            grid.add_row(picture, method, *cells, end_section=method == 'gt')
    return grid


def explain(mean):
    """Say in words what the means of the methods tell."""
    bicubic, l1, gan = mean['bicubic'], mean['l1'], mean['gan']
    gain, change = l1['psnr'] - bicubic['psnr'], gan['psnr'] - l1['psnr']
    first = (
        f'L1 beats bicubic by {gain:.2f} dB in PSNR.'
        if gain > 0
        else f'L1 does not beat bicubic in PSNR ({gain:+.2f} dB); it needs more iterations.'
    )
    verdict = 'more' if gan['hf'] > l1['hf'] else 'no more'
    second = (
        f'The GAN has {verdict} detail than L1: {gan["hf"]:.0%} of the high-frequency energy of GT, '
        f'where L1 has {l1["hf"]:.0%} and bicubic {bicubic["hf"]:.0%}.'
    )
    third = (
        f'Its PSNR is {-change:.2f} dB below that of L1: PSNR prefers blur to detail that is not exactly in its place.'
        if change < 0
        else f'Its PSNR is {change:.2f} dB above that of L1.'
    )
    return f'{first} {second} {third}'
