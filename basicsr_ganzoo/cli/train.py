"""Train what an option file describes: ``python -m basicsr_ganzoo.train -opt FILE``, with BasicSR's flags.

Experiments are written to, and resumed from, ``path.experiments_root``: ``experiments/`` under the current directory.
Ctrl-C or SIGTERM finishes the step and saves it; ``--auto_resume`` then continues exactly where it stopped.
"""

import argparse
import errno
import os
import sys

from basicsr_ganzoo.config import find_option_file, overrides
from basicsr_ganzoo.errors import OptionError, report_mistakes
from basicsr_ganzoo.files import NO_ROOM

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
#: the whole message of BasicSR when it cannot write a validation image
PICTURE_NOT_WRITTEN = 'Failed in writing images.'


def add_arguments(parser):
    """The flags of BasicSR's train.py."""
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML), or a name of `ganzoo options`')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='as for torchrun')
    parser.add_argument(
        '--auto_resume', action='store_true', help='continue from the newest checkpoint of this experiment'
    )
    parser.add_argument(
        '--fresh', action='store_true', help='start a new run; an existing run of this name is renamed, not lost'
    )
    parser.add_argument('--debug', action='store_true', help='validate and save after 8 iterations')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by old launchers; not needed')
    overrides.add_argument(parser)


def run(args):
    """Train.

    Raises:
        OptionError: the option file, or something that it names, is wrong, or a folder cannot be written to.
        Stopped: a signal came, and what was reached is saved.
    """
    from basicsr_ganzoo.checking import prepare

    args.opt = str(find_option_file(args.opt))
    opt, findings = prepare(args.opt, args.force_yml)
    first = int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0  # only one process prints warnings
    for finding in findings if first else ():
        if finding.level == 'warning':
            print(f'warning: {finding}', file=sys.stderr)
    errors = [str(finding) for finding in findings if finding.level == 'error']
    if errors:
        raise OptionError(errors[0] if len(errors) == 1 else '\n  '.join([f'{len(errors)} mistakes', *errors]))
    if args.fresh and (args.auto_resume or opt['path'].get('resume_state')):
        raise OptionError(
            '--fresh starts a new run, but --auto_resume or path.resume_state continues one; give one of the two'
        )
    from basicsr_ganzoo.trainer import TerminalBar, train

    try:
        train(opt, args, os.getcwd(), [TerminalBar()])
    except OSError as error:
        if error.errno in NOT_WRITABLE:
            raise OptionError(f'cannot write there: {error}') from error
        if error.errno in NO_ROOM or error.args == (PICTURE_NOT_WRITTEN,):
            raise OptionError(f'cannot write: {error}; free some space, and continue with --auto_resume') from error
        raise


def main():
    """The command ``python -m basicsr_ganzoo.train``."""
    parser = argparse.ArgumentParser('python -m basicsr_ganzoo.train', description=__doc__)
    add_arguments(parser)
    sys.exit(report_mistakes(run, parser.parse_args()))
