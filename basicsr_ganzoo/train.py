"""Train what an option file describes: ``python -m basicsr_ganzoo.train -opt FILE``, with BasicSR's flags.

Experiments are written to, and resumed from, ``path.experiments_root``: ``experiments/`` under the current directory.
Ctrl-C or SIGTERM finishes the step and saves it; ``--auto_resume`` goes on as if nothing had happened.
"""

import argparse
import errno
import importlib
import importlib.util
import os
import sys
from pathlib import Path

from basicsr_ganzoo import _force_yml
from basicsr_ganzoo._files import NO_ROOM
from basicsr_ganzoo._options import OptionError
from basicsr_ganzoo._options_files import find_option_file

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
#: all that BasicSR says of a picture of a validation
PICTURE_NOT_WRITTEN = 'Failed in writing images.'


def add_arguments(parser):
    """The flags of BasicSR's train.py."""
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML), or a name of `ganzoo options`')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='as for torchrun')
    parser.add_argument('--auto_resume', action='store_true', help='go on from the newest state of this experiment')
    parser.add_argument('--fresh', action='store_true', help='start anew; a run of this name is renamed, not lost')
    parser.add_argument('--debug', action='store_true', help='validate and save after 8 iterations')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by old launchers; not needed')
    _force_yml.add_argument(parser)


def run(args):
    """Train.

    Raises:
        OptionError: the option file, or something that it names, is wrong, or a folder cannot be written to.
        Stopped: a signal came, and what was reached is saved.
    """
    args.opt = str(find_option_file(args.opt))
    opt, findings = prepare(args.opt, args.force_yml)
    first = int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0  # of several processes, which warns
    for finding in findings if first else ():
        if finding.level == 'warning':
            print(f'warning: {finding}', file=sys.stderr)
    errors = [str(finding) for finding in findings if finding.level == 'error']
    if errors:
        raise OptionError(errors[0] if len(errors) == 1 else '\n  '.join([f'{len(errors)} mistakes', *errors]))
    if args.fresh and (args.auto_resume or opt['path'].get('resume_state')):
        raise OptionError('--fresh starts anew, but --auto_resume or path.resume_state goes on; give one of the two')
    from basicsr_ganzoo.training.run import train

    try:
        train(opt, args, os.getcwd())
    except OSError as error:
        if error.errno in NOT_WRITABLE:
            raise OptionError(f'cannot write there: {error}') from error
        if error.errno in NO_ROOM or error.args == (PICTURE_NOT_WRITTEN,):
            raise OptionError(f'cannot write: {error}; make room, and go on with --auto_resume') from error
        raise


def prepare(path, force_yml=None):
    """Read an option file, make what it imports known, and check it.

    Returns:
        The options, with ``force_yml`` in them, and the findings about them (``checking.Finding``).

    Raises:
        OptionError: there is no option file, ``force_yml`` does not fit, or an import fails.
    """
    from basicsr_ganzoo import _registry

    opt = read_options(path)
    _force_yml.apply(force_yml, opt)
    _leave_out_emptied(opt)
    _registry.import_submodules()
    from basicsr_ganzoo.checking import check_options

    import_plugins(opt.get('imports') or [], Path(path).parent)
    return opt, check_options(opt)


def _leave_out_emptied(opt):
    """Of data sets, ``train`` and ``val`` what is null, as by ``--force_yml datasets:val=null``, is not given."""
    if isinstance(opt.get('datasets'), dict):
        opt['datasets'] = {name: block for name, block in opt['datasets'].items() if block is not None}
    for key in {'train', 'val'} & opt.keys():
        opt[key] = _without_nulls(opt[key])


def _without_nulls(value):
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def read_options(path):
    """Read the mapping that an option file holds, or the shipped file of this name.

    Raises:
        OptionError: no such file, no YAML, or no mapping in it.
    """
    import yaml

    from basicsr_ganzoo._options_files import load_unique

    path = find_option_file(path)
    try:
        opt = load_unique(Path(path).read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f'{path} is not YAML: {" ".join(str(error).split())}') from error
    if not isinstance(opt, dict):
        raise OptionError(f'{path} is no option file: it holds no keys')
    return opt


def import_plugins(names, folder):
    """Import what the option file's ``imports`` names: modules, or .py files relative to the option file."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise OptionError(f'imports needs to be a list of modules or .py files, got {names!r}')
    for name in names:
        try:
            if name.endswith('.py'):
                _import_file(folder / name)
            else:
                importlib.import_module(name)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            raise OptionError(f'imports: cannot import {name}: {error}') from error


def _import_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise


def main():
    """The command ``python -m basicsr_ganzoo.train``."""
    from basicsr_ganzoo.cli import report_mistakes

    parser = argparse.ArgumentParser('python -m basicsr_ganzoo.train', description=__doc__)
    add_arguments(parser)
    sys.exit(report_mistakes(run, parser.parse_args()))


if __name__ == '__main__':
    main()
