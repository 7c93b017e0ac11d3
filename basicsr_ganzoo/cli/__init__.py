"""The ``ganzoo`` command: one module for each verb. A verb imports torch in its ``run``, not at the top."""

import argparse
import errno
import importlib
import os
import sys

VERBS = ('demo', 'list', 'show', 'options', 'check', 'train', 'test', 'bench', 'upscale', 'export', 'run')


def main(argv=None):
    """Run ``ganzoo`` with ``argv`` (default: the command line). A user's mistake is one sentence and exit code 1."""
    args = _parser().parse_args(argv)
    sys.exit(report_mistakes(args.run, args))


def report_mistakes(function, *args):
    """Call ``function``; print what it says of a user's mistake as one sentence. Returns the exit code."""
    from basicsr_ganzoo._compat import DependencyError, missing_package
    from basicsr_ganzoo._options import OptionError
    from basicsr_ganzoo.training.signals import Stopped

    try:
        function(*args)
    except (DependencyError, OptionError) as error:
        if str(error):  # of several processes one speaks
            print(f'error: {error}', file=sys.stderr)
        return 1
    except Stopped as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr)
        return stopped.code
    except ImportError as error:
        sentence = missing_package(error)
        if not sentence:
            raise
        print(f'error: {sentence}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('stopped by the keyboard', file=sys.stderr)
        return 130
    except BrokenPipeError:  # `ganzoo list | head`; without this, Python would complain once more when it exits
        _silence_stdout()
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f' to {error.filename}' if error.filename else ''
        print(f'error: cannot write{where}: {error.strerror}; make room', file=sys.stderr)
        _silence_stdout()
        return 1
    return 0


def _silence_stdout():
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser():
    import basicsr_ganzoo

    parser = argparse.ArgumentParser('ganzoo', description='GAN training for super-resolution, as a plugin for BasicSR')
    parser.add_argument('--version', action='version', version=f'basicsr-ganzoo {basicsr_ganzoo.__version__}')
    verbs = parser.add_subparsers(title='verbs', metavar='VERB', required=True)
    for name in VERBS:
        verb = importlib.import_module(f'basicsr_ganzoo.cli.{name}')
        help_line = verb.__doc__.strip().splitlines()[0]
        subparser = verbs.add_parser(name, help=help_line, description=verb.__doc__)
        verb.add_arguments(subparser)
        subparser.set_defaults(run=verb.run)
    return parser
