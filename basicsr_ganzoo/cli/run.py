"""Run any train script of the BasicSR family, unmodified, with everything of this package registered.

ganzoo run basicsr/train.py -opt FILE; ganzoo run -m basicsr.train -opt FILE; and with several GPUs
torchrun --nproc_per_node N -m basicsr_ganzoo run SCRIPT.py ARGS.
"""

import argparse
import importlib.util
import os
import runpy
import sys
from pathlib import Path


def add_arguments(parser):
    rest = argparse.REMAINDER
    parser.add_argument('-m', dest='module', nargs=rest, metavar='MODULE ARGS', help='run a module instead of a file')
    parser.add_argument('script', nargs=rest, metavar='SCRIPT.py ARGS', help='the script and its own arguments')


def run(args):
    from basicsr_ganzoo import registry
    from basicsr_ganzoo.errors import OptionError

    command = args.module or args.script
    if command[:1] == ['--']:
        del command[0]
    if not command:
        raise OptionError('give a script, or -m and a module: ganzoo run SCRIPT.py ARGS')
    if not args.module and not Path(command[0]).is_file():
        raise OptionError(f'there is no script {command[0]}; for a module write: ganzoo run -m {command[0]}')
    # What Python itself would put first, so that the entries are registered in the script's own clone of BasicSR.
    sys.path[0] = os.getcwd() if args.module else str(Path(command[0]).resolve().parent)
    sys.argv = command
    registry.import_submodules()
    if args.module:
        if not _module_exists(command[0]):
            raise OptionError(f'there is no module {command[0]}')
        runpy.run_module(command[0], run_name='__main__', alter_sys=True)
    else:
        runpy.run_path(command[0], run_name='__main__')


def _module_exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
