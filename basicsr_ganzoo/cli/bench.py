"""Measure what a training step of an option file costs, or its data, alone or against BasicSR's."""

import json

from basicsr_ganzoo.config import overrides


def add_arguments(parser):
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML)')
    parser.add_argument(
        '--against',
        choices=('stock', 'plain'),
        help="stock: BasicSR's model from the same file; plain: ours without the keys that make it faster or smaller",
    )
    parser.add_argument('--steps', type=int, default=10, metavar='N', help='timed steps of each (default: 10)')
    for key, choices in (('amp', ['bf16', 'fp16', 'off']), ('channels_last', None), ('compile', None)):
        kind = {'choices': choices} if choices else {'action': 'store_true'}
        parser.add_argument(
            f'--{key}', help=f'the same as --force_yml train:{key}={"..." if choices else "true"}', **kind
        )
    parser.add_argument('--data', action='store_true', help="measure the training set instead, against BasicSR's")
    parser.add_argument(
        '--workers', type=int, metavar='N', help='with --data: processes that load (default: 0, this one loads)'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    overrides.add_argument(parser, 'datasets:train:batch_size_per_gpu=2')


def run(args):
    from basicsr_ganzoo.config.build import check_whole_number
    from basicsr_ganzoo.errors import OptionError

    check_whole_number('ganzoo bench', '--steps', args.steps)
    _check_flags(args)
    from basicsr_ganzoo.checking import prepare
    from basicsr_ganzoo.config.shipped import find_option_file

    path = find_option_file(args.opt)
    opt, findings = prepare(path, [*_entries(args), *(args.force_yml or [])])
    for finding in findings:
        is_read = args.data and finding.key.startswith('datasets.train')
        if finding.level == 'error' and (is_read or not _is_of_files(finding.key)):
            raise OptionError(finding)
    report, show = _measure_data(opt, args) if args.data else _measure_steps(opt, args, path.parent)
    print(json.dumps(report, indent=2)) if args.json else show(report)


def _check_flags(args):
    from basicsr_ganzoo.config.build import check_whole_number
    from basicsr_ganzoo.errors import OptionError

    if args.data and (args.against == 'plain' or args.amp or args.compile or args.channels_last):
        told = "--data compares the training set with BasicSR's and takes no step"
        raise OptionError(f'{told}; leave --against plain, --amp, --channels_last and --compile away')
    if args.workers is not None:
        check_whole_number('ganzoo bench', '--workers', args.workers, 0)
        if not args.data:
            raise OptionError('--workers belongs to --data')


def _entries(args):
    """What the flags stand for, as entries of --force_yml."""
    keys = {'amp': args.amp, 'channels_last': args.channels_last, 'compile': args.compile}
    return [f'train:{key}={str(value).lower()}' for key, value in keys.items() if value]


def _measure_steps(opt, args, folder):
    from basicsr_ganzoo.profiling import bench_step, report

    return bench_step.run(opt, args.against, args.steps, folder), report.print_report


def _measure_data(opt, args):
    from basicsr_ganzoo.profiling import bench_data, report

    return bench_data.run(opt, args.workers or 0, args.steps), report.print_data_report


def _is_of_files(key):
    """Whether a finding is about pictures or weights, which may be missing, because they are made up here."""
    return key.startswith(('path.', 'datasets.val')) or key == 'datasets.train'
