"""Measure a training step of an option file, or with --data its training set, alone or against BasicSR's."""

import json

from basicsr_ganzoo.config import overrides

FLAGS = ('channels_last', 'compile')


def add_arguments(parser):
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML)')
    parser.add_argument(
        '--against',
        choices=('stock', 'plain'),
        help="stock: BasicSR's model from the same file; plain: ours without the keys that make it faster or smaller",
    )
    parser.add_argument(
        '--steps', type=int, default=10, metavar='N', help='timed steps, or turns of --data (default: 10)'
    )
    parser.add_argument('--data', action='store_true', help="measure the training set instead, against BasicSR's")
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.add_argument('--amp', choices=('bf16', 'fp16', 'off'), help='the same as --force_yml train:amp=...')
    for key in FLAGS:
        parser.add_argument(f'--{key}', action='store_true', help=f'the same as --force_yml train:{key}=true')
    overrides.add_argument(parser, 'datasets:train:batch_size_per_gpu=2')


def run(args):
    from basicsr_ganzoo.checking import prepare
    from basicsr_ganzoo.config import find_option_file
    from basicsr_ganzoo.config.build import check_whole_number
    from basicsr_ganzoo.errors import OptionError

    check_whole_number('ganzoo bench', '--steps', args.steps)
    if args.data and args.against == 'plain':
        raise OptionError("--data compares the training set with BasicSR's; remove --against plain")
    path = find_option_file(args.opt)
    opt, findings = prepare(path, [*_entries(args), *(args.force_yml or [])])
    for finding in findings:
        if finding.level == 'error' and not _is_unused(finding.key, args.data):
            raise OptionError(finding)
    from basicsr_ganzoo.profiling import bench_data, bench_step, report

    if args.data:
        content = bench_data.run(opt, args.steps)
    else:
        content = bench_step.run(opt, args.against, args.steps, path.parent)
    print(json.dumps(content, indent=2)) if args.json else report.print_report(content)


def _entries(args):
    """The flags as entries of ``--force_yml``."""
    amp = [f'train:amp={args.amp}'] if args.amp else []
    return amp + [f'train:{key}=true' for key in FLAGS if getattr(args, key)]


def _is_unused(key, data):
    """Whether a finding is about images or weights that the bench does not read."""
    return key.startswith(('path.', 'datasets.val')) or (key == 'datasets.train' and not data)
