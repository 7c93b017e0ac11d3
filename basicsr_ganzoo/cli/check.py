"""Find everything that is wrong with an option file, before training starts; writes nothing."""

import json

from basicsr_ganzoo.config import overrides


def add_arguments(parser):
    parser.add_argument('-opt', required=True, metavar='FILE', help='option file (YAML)')
    overrides.add_argument(parser)
    parser.add_argument('--json', action='store_true', help='print JSON: a list of level, key and message')


def run(args):
    from basicsr_ganzoo.checking import prepare

    findings = prepare(args.opt, args.force_yml)[1]
    if args.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f'{finding.level}: {finding}')
        errors = sum(finding.level == 'error' for finding in findings)
        print(f'{args.opt}: {_count(errors, "error")}, {_count(len(findings) - errors, "warning")}')
    if any(finding.level == 'error' for finding in findings):
        raise SystemExit(1)


def _count(number, noun):
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'
