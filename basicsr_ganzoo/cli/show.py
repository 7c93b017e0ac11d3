"""Explain one entry: its arguments, its documentation, a block to paste into an option file, its cost.

ganzoo show degradation -opt FILE --image IMAGE writes a sheet of the low-quality images that FILE trains on.
"""

import argparse
import inspect
import re

BLOCKS = {
    'archs': 'network_d',
    'losses': 'train.gan_opt',
    'regularizers': 'train.d_reg_opt',
    'views': 'train.views',
    'gan_weights': 'train.gan_weight_opt',
}


def add_arguments(parser):
    parser.add_argument('name', help='registered name, such as UNetSNDiscriminator, or: degradation')
    parser.add_argument('--size', type=_size, default=(256, 256), metavar='N or HxW', help='image size for the cost')
    sheet = parser.add_argument_group('the sheet of ganzoo show degradation')
    sheet.add_argument('-opt', metavar='FILE', help='option file with the settings of the degradation')
    sheet.add_argument('--image', metavar='IMAGE', help='the image to degrade')
    sheet.add_argument('--out', default='degradation.png', metavar='PNG', help='default: %(default)s')
    sheet.add_argument(
        '--count', type=int, default=8, metavar='N', help='number of low-quality images; default: %(default)s'
    )
    sheet.add_argument('--seed', type=int, default=0, metavar='N', help='default: %(default)s')


def run(args):
    from basicsr_ganzoo import registry
    from basicsr_ganzoo.cli._catalogue import find

    registry.import_submodules()
    if args.name == 'degradation':
        _show_degradation(args)
        return
    kind, entry = find(args.name)
    print(f'{args.name}{"" if kind == "models" else _signature(entry)}\n')
    print('\n\n'.join([inspect.getdoc(entry), *inherited_arguments(entry)]))
    print(f'\nIn an option file:\n\n{yaml_block(kind, args.name, entry)}')
    if kind == 'archs':
        _print_cost(entry, args.size)
    elif kind in ('regularizers', 'views'):
        _print_price(kind, entry, args.size)


def _show_degradation(args):
    from basicsr_ganzoo.errors import OptionError

    if not args.opt or not args.image:
        raise OptionError('show degradation needs an option file and an image: -opt FILE --image IMAGE')
    from basicsr_ganzoo.degradations.sheet import write_sheet

    write_sheet(args.opt, args.image, args.out, args.count, args.seed)


def inherited_arguments(entry):
    """What the base classes of ``entry`` in this package say about their arguments, the nearest first."""
    bases = inspect.getmro(entry)[1:] if inspect.isclass(entry) else ()
    for base in bases:
        if base.__module__.startswith('basicsr_ganzoo.'):
            _, found, arguments = inspect.cleandoc(base.__doc__ or '').partition('\nArgs:\n')
            if found:
                yield 'Args:\n' + arguments.split('\n\n')[0]


def yaml_block(kind, name, entry):
    """What to paste into an option file to get the entry with its defaults, as YAML."""
    import yaml

    if kind == 'models':
        return yaml.safe_dump({'model_type': name})
    if kind == 'data':
        block = {key: value for key, value in entry.example().items() if value is not None}
        return yaml.safe_dump({'datasets': {block['name']: block}}, sort_keys=False)
    if kind == 'metrics':
        return yaml.safe_dump({'val': {'metrics': _metric_block(name, entry)}}, sort_keys=False)
    block = {'type': name}
    for parameter in inspect.signature(entry).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        block[parameter.name] = 'vanilla' if parameter.name == 'gan_type' else parameter.default
    # A default that depends on another argument is None in the signature, and is best left out.
    block = {key: value for key, value in block.items() if value is not None}
    if kind == 'regularizers':
        block = {name.removesuffix('Regularizer').removesuffix('Penalty').lower(): block}
    elif kind == 'views':
        block = [block]
    for key in reversed(_key_path(kind, name, entry).split('.')):
        block = {key: block}
    return yaml.safe_dump(block, sort_keys=False)


def _signature(entry):
    """The arguments and their defaults, without annotations: the docstring has them in words."""
    signature = inspect.signature(entry)
    plain = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return signature.replace(parameters=plain, return_annotation=signature.empty)


def _key_path(kind, name, entry):
    """Where an option file has the entry; a loss that compares images has a key of its own."""
    from basicsr_ganzoo.losses import is_gan_loss

    return BLOCKS[kind] if kind != 'losses' or is_gan_loss(entry) else f'train.{_own_key(name)}'


def _metric_block(name, entry):
    """The block of a perceptual distance, for which lower is better, under its short name."""
    parameters = inspect.signature(entry).parameters.values()
    options = {p.name: p.default for p in parameters if p.default is not p.empty}
    return {name.removeprefix('calculate_'): {'type': name, **options, 'better': 'lower'}}


def _own_key(name):
    """The key of a content loss: LRConsistencyLoss is lr_consistency_opt."""
    words = re.sub(r'(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name.removesuffix('Loss'))
    return f'{words.lower()}_opt'


def _print_cost(entry, size):
    from basicsr_ganzoo.cli._catalogue import shapes_text
    from basicsr_ganzoo.engine import cost
    from basicsr_ganzoo.errors import OptionError
    from basicsr_ganzoo.registry import entries

    try:
        ours, unet = (cost.forward_cost(network, size) for network in (entry, entries('archs')['UNetSNDiscriminator']))
    except ValueError as error:
        raise OptionError(f'--size: {error}') from error
    field = cost.receptive_field(entry)
    lines = {
        'output': shapes_text(ours['output'], ', '),
        'parameters': f'{ours["parameters"]:,}',
        'a logit sees': f'{field}x{field} pixels' if field else 'the whole image',
        'forward pass': f'{ours["flops"] / 1e9:.2f} GFLOPs, {ours["flops"] / unet["flops"]:.2f}x UNetSNDiscriminator',
    }
    print(f'With its defaults at {size[0]}x{size[1]}:')
    for name, value in lines.items():
        print(f'  {name:<14}{value}')


def _print_price(kind, entry, size):
    from basicsr_ganzoo.errors import OptionError
    from basicsr_ganzoo.profiling import adversary_cost
    from basicsr_ganzoo.registry import entries

    unet, part = entries('archs')['UNetSNDiscriminator'], entry()
    parts = {'views': [part]} if kind == 'views' else {'regularizers': {'it': part}}
    try:
        price = adversary_cost(unet, size, **parts) / adversary_cost(unet, size)
    except ValueError as error:
        raise OptionError(f'--size: {error}') from error
    print(
        f"FLOPs of the discriminator's part of a step, with UNetSNDiscriminator at {size[0]}x{size[1]}: {price:.2f}x",
        end='',
    )
    interval = getattr(part, 'interval', 1)
    print(f', on average {1 + (price - 1) / interval:.2f}x with interval {interval}' if interval > 1 else '')


def _size(text):
    height, _, width = text.partition('x')
    try:
        size = int(height), int(width or height)
    except ValueError:
        size = (0, 0)
    if min(size) < 1:
        raise argparse.ArgumentTypeError(f'needs to be N or HxW in pixels, such as 256 or 256x128, got {text!r}')
    return size
