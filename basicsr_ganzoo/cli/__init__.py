"""The ``ganzoo`` command: one module for each verb. A verb imports torch in its ``run``, not at the top."""

import argparse
import importlib
import pkgutil
import sys

from basicsr_ganzoo.errors import report_mistakes

#: the modules of this folder
VERBS = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith('_')]


def main(argv=None):
    """Run ``ganzoo`` with ``argv`` (default: the command line). A user's mistake is one sentence and exit code 1."""
    args = _parser().parse_args(argv)
    sys.exit(report_mistakes(args.run, args))


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
