"""The option files that come with the package: list them, show one, copy one to change it; and all keys.

ganzoo train -opt NAME trains with one as it is.
"""

from pathlib import Path


def add_arguments(parser):
    parser.set_defaults(action=print_list)
    actions = parser.add_subparsers(title='actions', metavar='list | show | copy | reference | schema')
    actions.add_parser('list', help='names and what they are for (the default)').set_defaults(action=print_list)
    show = actions.add_parser('show', help='print one')
    copy = actions.add_parser('copy', help='copy one, to change it')
    reference = actions.add_parser('reference', help='print all keys with their values and defaults, as Markdown')
    reference.set_defaults(action=print_reference)
    schema = actions.add_parser('schema', help='print the JSON Schema of an option file, for editors')
    schema.set_defaults(action=print_schema)
    for action, function in ((show, print_file), (copy, copy_file)):
        action.add_argument('name', metavar='NAME', help='a name of ganzoo options list')
        action.set_defaults(action=function)
    copy.add_argument('dest', nargs='?', default='.', metavar='DEST', help='file or folder; default: this folder')


def run(args):
    args.action(args)


def print_list(args):
    from basicsr_ganzoo.config.shipped import shipped_files

    files = shipped_files()
    width = max(map(len, files))
    for name, path in files.items():
        print(f'{name:<{width}}  {summary(path)}')


def summary(path):
    """The first line of an option file's header, without its mark."""
    with path.open(encoding='utf-8') as file:
        return file.readline().strip('# \n')


def print_file(args):
    from basicsr_ganzoo.config.shipped import find_shipped_file, text_for_elsewhere

    print(text_for_elsewhere(find_shipped_file(args.name)), end='')


def copy_file(args):
    from basicsr_ganzoo.config.shipped import find_shipped_file, text_for_elsewhere
    from basicsr_ganzoo.errors import OptionError

    source, dest = find_shipped_file(args.name), Path(args.dest)
    if dest.is_dir():
        dest = dest / source.name
    try:
        with dest.open('x', encoding='utf-8') as file:
            file.write(text_for_elsewhere(source))
    except FileExistsError as error:
        raise OptionError(f'{dest} is there already; name another file, or remove it') from error
    except OSError as error:
        raise OptionError(f'cannot write {dest}: {error.strerror}') from error
    print(f'{dest}; train with it: ganzoo train -opt {dest}')


def print_reference(args):
    from basicsr_ganzoo.config.schema import reference

    print(reference(), end='')


def print_schema(args):
    import json

    from basicsr_ganzoo.config.schema import json_schema

    print(json.dumps(json_schema(), indent=1))
