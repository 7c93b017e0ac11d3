"""The reports as text."""

from rich import box
from rich.console import Console
from rich.table import Table

ROWS = {
    'cpu_s': ('CPU time of a step', lambda v: f'{v:.3f} s'),
    'wall_s': ('wall time of a step', lambda v: f'{v:.3f} s'),
    'flops': ('FLOPs of a step', lambda v: f'{v / 1e9:.1f} G'),
    'peak_bytes': ('peak bytes of a step', lambda v: f'{v / 2**20:.0f} MiB'),
}
DATA_ROWS = (
    ('cpu_s', 'CPU time of a sample', lambda v: f'{1000 * v:.1f} ms'),
    ('samples_per_s_and_worker', 'samples per second and worker', lambda v: f'{v:.0f}'),
)


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
    size = report['gt_size']
    return (
        f'{report["option_file"]}: batch {report["batch"]} of {size}x{size} pixels, {report["steps"]} steps; '
        f'{_keys(report["keys"])}; {machine(report)}'
    )


def _keys(keys):
    return f'with train.{", ".join(f"{key}: {value}" for key, value in keys.items())}' if keys else 'no keys for speed'


def machine(report):
    """Where a report was made, in words."""
    where = report['environment']
    return f'{where["device"]}, {where["threads"]} thread(s), torch {where["torch"]}, BasicSR {where["basicsr"]}'


def _cell(result, key, text):
    quartiles = result.get(f'{key}_quartiles')
    spread = f'\n({" to ".join(text(each).split()[0] for each in quartiles)})' if quartiles else ''
    return text(result[key]) + spread


def _ratio(ratio):
    spread = f'\n({ratio["quartiles"][0]:.3f} to {ratio["quartiles"][1]:.3f})' if 'quartiles' in ratio else ''
    return f'{ratio["ratio"]:.3f}{spread}'


def _notes(report):
    yield 'Times are medians with quartiles. Bytes are those of all tensors: weights, optimizer and what a step adds.'
    if report['environment']['device'].startswith('CPU'):
        yield 'Each model has a process of its own; ours keeps the memory that it frees, as `ganzoo train` does.'
    if report['compile_failed']:
        yield f'Not compiled: {report["compile_failed"]}.'
    elif 'compile' in report['keys']:
        yield 'Compiling is not in the times; FLOPs, bytes and losses are those without compile.'
    if report['random_vgg']:
        yield 'The perceptual network has random weights, because its file is not here; that costs the same.'
    if report['left_out_by_stock']:
        yield f"BasicSR's model leaves out {', '.join(report['left_out_by_stock'])}."
    if report.get('loss_difference') is not None:
        told = f'Losses of the first step differ by at most {report["loss_difference"]:.1e} of their value'
        yield f'{told}; spectral norm, where D has it, moves with every pass, and BasicSR makes more of them.'


def print_data_report(report):
    """Print what ``loading.run`` gave as a table."""
    table = Table('', *report['results'], 'ratio\n(quartiles)', box=box.HORIZONTALS)
    for key, label, text in DATA_ROWS:
        cells = [_cell(result, key, text) for result in report['results'].values()]
        table.add_row(label, *cells, _ratio(report['ratios'][key]))
    console = Console()
    console.print(_data_heading(report), highlight=False)
    console.print(table)
    console.print('Times are medians with quartiles. The samples are stacked to batches.', highlight=False)
    if report['stock_crop'] not in (None, report['crop']):
        console.print(f"BasicSR's data set cuts crops of {report['stock_crop']} pixels all the same.", highlight=False)


def _data_heading(report):
    ours, stock = (result['data_set'] for result in report['results'].values())
    by = f'{report["workers"]} worker(s)' if report['workers'] else 'this process'
    return (
        f'{report["option_file"]}: {ours} against {stock}, {report["pictures"]} pictures, crops of {report["crop"]} '
        f'pixels, loaded by {by} in {report["turns"]} turns; {machine(report)}'
    )
