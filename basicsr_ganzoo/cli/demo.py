"""Train a small generator on scikit-image's photographs, with L1 and then as a GAN, and compare; minutes on a CPU.

Writes comparison.png, curves.png, report.json, both checkpoints, their option files and the images.
"""

from pathlib import Path


def add_arguments(parser):
    parser.add_argument('--out', type=Path, default=Path('ganzoo_demo'), metavar='DIR', help='default: %(default)s')
    parser.add_argument(
        '--iters', type=int, metavar='N', help='iterations of both stages together (default: ~3 minutes)'
    )
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='default: %(default)s')


def run(args):
    check(args)
    from basicsr_ganzoo import registry

    registry.import_submodules()
    from basicsr_ganzoo.demo.pipeline import run_demo

    run_demo(args.out, args.iters, args.seed)


def check(args):
    """Raise ``OptionError`` for arguments that cannot work. Writes nothing."""
    from basicsr_ganzoo.demo.files import check_folder
    from basicsr_ganzoo.errors import OptionError

    if args.iters is not None and args.iters < 2:
        raise OptionError(f'--iters needs to be at least 2, one for each stage, got {args.iters}')
    if not 0 <= args.seed < 2**32:
        raise OptionError(f'--seed needs to be from 0 to {2**32 - 1}, got {args.seed}')
    check_folder(args.out)
