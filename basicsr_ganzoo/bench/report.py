"""The report of a race as text."""

from rich import box
from rich.console import Console
from rich.table import Table

ROWS = {
    'cpu_s': ('CPU time of a step', lambda v: f'{v:.3f} s'),
    'wall_s': ('wall time of a step', lambda v: f'{v:.3f} s'),
    'flops': ('FLOPs of a step', lambda v: f'{v / 1e9:.1f} G'),
    'peak_bytes': ('peak bytes of a step', lambda v: f'{v / 2**20:.0f} MiB'),
}


def print_report(report):
    """Print what ``race.run`` gave as a table, with what has to be known to read it."""
    table = Table('', box=box.HORIZONTALS)
    for name, result in report['results'].items():
        table.add_column(f'{name}\n{result["model"]}', justify='right')
    if 'ratios' in report:
        table.add_column('ratio\n(quartiles)', justify='right')
    for key, (label, text) in ROWS.items():
        cells = [_cell(result, key, text) for result in report['results'].values()]
        table.add_row(label, *cells, *([_ratio(report['ratios'][key])] if 'ratios' in report else []))
    console = Console()
    console.print(_heading(report), highlight=False)
    console.print(table)
    for note in _notes(report):
        console.print(note, highlight=False)


def _heading(report):
    where, size = report['environment'], report['gt_size']
    return (
        f'{report["option_file"]}: batch {report["batch"]} of {size}x{size} pixels, {report["steps"]} steps; '
        f'{where["device"]}, {where["threads"]} thread(s), torch {where["torch"]}, BasicSR {where["basicsr"]}'
    )


def _cell(result, key, text):
    quartiles = result.get(f'{key}_quartiles')
    spread = f'\n({quartiles[0]:.3f} to {quartiles[1]:.3f})' if quartiles else ''
    return text(result[key]) + spread


def _ratio(ratio):
    spread = f'\n({ratio["quartiles"][0]:.3f} to {ratio["quartiles"][1]:.3f})' if 'quartiles' in ratio else ''
    return f'{ratio["ratio"]:.3f}{spread}'


def _notes(report):
    yield 'Times are medians with quartiles. Bytes are those of all tensors: weights, optimizer and what a step adds.'
    if report['environment']['device'].startswith('CPU'):
        yield 'Each model has a process of its own; ours keeps the memory that it frees, as `ganzoo train` does.'
    if report['random_vgg']:
        yield 'The perceptual network has random weights, because its file is not here; that costs the same.'
    if report['left_out_by_stock']:
        yield f"BasicSR's model leaves out {', '.join(report['left_out_by_stock'])}."
    if report.get('loss_difference') is not None:
        told = f'Losses of the first step differ by at most {report["loss_difference"]:.1e} of their value'
        yield f'{told}; spectral norm, where D has it, moves with every pass, and BasicSR makes more of them.'
