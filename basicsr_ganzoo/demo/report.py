"""The scores of the demo as a table and in words."""

import numpy as np
from rich.table import Table

COLUMNS = {'psnr': ('PSNR dB', '.2f'), 'ssim': ('SSIM', '.4f'), 'niqe': ('NIQE', '.2f'), 'hf': ('HF of GT', '.0%')}


def means(scores):
    """The mean over the images: ``scores`` by image, method and metric -> by method and metric."""
    first = next(iter(scores.values()))
    return {
        method: {metric: round(float(np.mean([s[method][metric] for s in scores.values()])), 4) for metric in metrics}
        for method, metrics in first.items()
    }


def final_values(log):
    """The mean of each metric of a stage's log over its last tenth."""
    tail = log[-max(len(log) // 10, 1) :]
    names = [name for name in tail[0] if name != 'iter' and all(name in row for row in tail)]
    return {name: round(float(np.mean([row[name] for row in tail])), 6) for name in names}


def table(report):
    """The scores of the report as a table for the terminal."""
    grid = Table('picture', 'method', title='Held-out images')
    for heading, _ in COLUMNS.values():
        grid.add_column(heading, justify='right')
    for picture, methods in {**report['pictures'], 'mean': report['mean']}.items():
        for method, values in methods.items():
            cells = (format(values[m], spec) if m in values else '' for m, (_, spec) in COLUMNS.items())
            grid.add_row(picture, method, *cells, end_section=method == 'gt')
    return grid


def explain(report):
    """The means in words."""
    bicubic, l1, gan = (report['mean'][method] for method in ('bicubic', 'l1', 'gan'))
    rho = report['last_tenth_of_training']['gan']['rho']
    return (
        f'PSNR: L1 is {l1["psnr"] - bicubic["psnr"]:+.2f} dB from bicubic, and the GAN {gan["psnr"] - l1["psnr"]:+.2f} '
        'dB from L1; PSNR prefers blur to detail that is slightly displaced.\n'
        f'High-frequency energy, of that of GT: bicubic {bicubic["hf"]:.0%}, L1 {l1["hf"]:.0%}, GAN {gan["hf"]:.0%}.\n'
        f"At the end the norm of the GAN's gradient at the image was {rho:.2f} times that of the L1 loss (rho)."
    )
