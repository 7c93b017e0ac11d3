"""Measure what a training step of an option file costs, alone or against BasicSR's model."""

import json


def add_arguments(parser):
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML)')
    parser.add_argument(
        '--against',
        choices=('stock', 'plain'),
        help="stock: BasicSR's model from the same file; plain: ours without the keys that make it faster or smaller",
    )
    parser.add_argument('--steps', type=int, default=10, metavar='N', help='timed steps of each (default: 10)')
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.add_argument(
        '--force_yml',
        nargs='+',
        metavar='KEY:KEY=VALUE',
        help='other values, as in train; datasets:train:batch_size_per_gpu=2 for a smaller batch',
    )


def run(args):
    from basicsr_ganzoo._options import OptionError, check_whole_number

    check_whole_number('ganzoo bench', '--steps', args.steps)
    from basicsr_ganzoo._options_files import find_option_file
    from basicsr_ganzoo.train import prepare

    path = find_option_file(args.opt)
    opt, findings = prepare(path, args.force_yml)
    for finding in findings:
        if finding.level == 'error' and not _is_of_files(finding.key):
            raise OptionError(finding)
    from basicsr_ganzoo.bench import race
    from basicsr_ganzoo.bench.report import print_report

    report = race.run(opt, args.against, args.steps, path.parent)
    print(json.dumps(report, indent=2)) if args.json else print_report(report)


def _is_of_files(key):
    """Whether a finding is about pictures or weights, which may be missing, because they are made up here."""
    return key.startswith(('path.', 'datasets.val')) or key == 'datasets.train'
