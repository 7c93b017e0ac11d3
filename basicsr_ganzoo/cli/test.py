"""Evaluate a generator on the validation sets of an option file, and save its images, by BasicSR's test pipeline.

The same as ``python -m basicsr_ganzoo.test``. Writes to ``results/`` under the current directory.
"""

import argparse
import os
import sys

from basicsr_ganzoo.config import find_option_file
from basicsr_ganzoo.errors import OptionError, report_mistakes


def add_arguments(parser):
    """The flags of BasicSR's test.py, and the generator to evaluate."""
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML), for training or for testing')
    parser.add_argument('-m', dest='checkpoint', metavar='FILE', help='generator (default: path.pretrain_network_g)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='as for torchrun')


def run(args):
    """Test.

    Raises:
        OptionError: the option file, or something that it names, is wrong.
    """
    from basicsr_ganzoo import registry
    from basicsr_ganzoo.config import import_plugins, read_options

    path = find_option_file(args.opt)
    opt = read_options(path)
    registry.import_submodules()
    import_plugins(opt.get('imports') or [], path.parent)
    _check(opt, args.checkpoint)

    from basicsr_ganzoo.trainer import run_evaluation

    def change(opt):
        opt['datasets'].pop('train', None)
        opt['val'].setdefault('suffix', None)
        if args.checkpoint:
            opt['path']['pretrain_network_g'] = args.checkpoint

    run_evaluation(['test', '-opt', str(path), '--launcher', args.launcher], os.getcwd(), change)


def _check(opt, checkpoint):
    needed = ('name', 'model_type', 'num_gpu', 'datasets', 'network_g', 'path', 'val')
    missing = [key for key in needed if opt.get(key) is None]
    if missing:
        raise OptionError(f'the option file lacks {", ".join(missing)}')
    if not set(opt['datasets']) - {'train'}:
        raise OptionError('the option file has no datasets.val or datasets.test to evaluate on')
    if 'save_img' not in opt['val']:
        raise OptionError('the option file lacks val.save_img, true or false')
    if not checkpoint and not opt['path'].get('pretrain_network_g'):
        raise OptionError('there is no generator to evaluate: give -m FILE, or path.pretrain_network_g')


def main():
    """The command ``python -m basicsr_ganzoo.test``."""
    parser = argparse.ArgumentParser('python -m basicsr_ganzoo.test', description=__doc__)
    add_arguments(parser)
    sys.exit(report_mistakes(run, parser.parse_args()))
