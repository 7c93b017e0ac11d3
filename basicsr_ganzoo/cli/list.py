"""List what this package registers: discriminators, losses, regularizers, views, models and more."""

import json

from basicsr_ganzoo.registry import KINDS


def add_arguments(parser):
    parser.add_argument('kind', nargs='?', choices=list(KINDS), help='list only this kind')
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')


def run(args):
    from basicsr_ganzoo import registry
    from basicsr_ganzoo.cli._catalogue import describe

    registry.import_submodules()
    kinds = [args.kind] if args.kind else KINDS
    found = {kind: [describe(kind, *item) for item in registry.entries(kind).items()] for kind in kinds}
    if args.json:
        print(json.dumps([info for infos in found.values() for info in infos], indent=2))
    else:
        _print_tables(found)


def _print_tables(found):
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    from basicsr_ganzoo.cli._catalogue import SIZE, shapes_text

    console = Console()
    for kind, infos in found.items():
        if not infos:
            console.print(f'\n{kind}: none')
            continue
        table = Table(Column(kind, overflow='fold'), box=box.HORIZONTALS, show_lines=True, padding=(0, 1, 0, 0))
        if kind == 'archs':
            for column in ('parameters', f'output at\n{SIZE[0]}x{SIZE[1]}', 'sees', 'GFLOPs'):
                table.add_column(column, justify='right', no_wrap=True)
        for info in infos:
            paper = f' ({info["paper"]})' if info['paper'] else ''
            row = [f'[bold]{info["name"]}[/bold]\n{info["summary"]}{paper}']
            if kind == 'archs':
                field = f'{info["receptive_field"]} px' if info['receptive_field'] else 'all'
                row += [f'{info["parameters"]:,}', shapes_text(info['output']), field, f'{info["gflops"]:.1f}']
            table.add_row(*row)
        console.print(table)
    if 'archs' in found:
        console.print(
            'sees: side in pixels of the receptive field of one logit, of the coarsest map. '
            'GFLOPs: one forward pass of one image; a multiply-add counts as two.'
        )
