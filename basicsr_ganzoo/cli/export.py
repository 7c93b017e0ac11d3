"""Export a trained generator: its averaged weights alone, and as ONNX; its architecture is recognised from the file."""

from pathlib import Path

SLIM = ('.pth', '.safetensors')


def add_arguments(parser):
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='generator: net_g_*.pth, or any file that upscale accepts'
    )
    parser.add_argument('-o', dest='out', type=Path, metavar='OUT', help='a file .pth, .safetensors or .onnx')
    parser.add_argument('--onnx', action='store_true', help='also write ONNX, with free batch, height and width')


def run(args):
    from basicsr_ganzoo.weights import export, onnx

    source = Path(args.checkpoint)
    out = args.out or source.with_name(f'{source.stem}_slim.pth')
    targets = _targets(source, out, args.onnx)
    if '.onnx' in targets:
        onnx.check_packages()
    key, weights = export.weights_in(source)
    model = _load(source)
    print(f'{model.architecture.name} x{model.scale}, {key or "weights without a key"} of {source}')
    for suffix, target in targets.items():
        if suffix == '.onnx':
            _write_onnx(model, target)
        else:
            export.write_slim(weights, key.split('.')[-1] if key.startswith('params') else 'params', target)
            print(f'{target} ({_megabytes(target)}): ganzoo upscale -m {target} -i IMAGES -o FOLDER')


def _targets(source, out, with_onnx):
    """The files to write, by suffix."""
    from basicsr_ganzoo.errors import OptionError

    if out.suffix not in (*SLIM, '.onnx'):
        raise OptionError(f'-o needs to be a file that ends with .pth, .safetensors or .onnx, got {out}')
    targets = {out.suffix: out}
    if with_onnx:
        targets['.onnx'] = out.with_suffix('.onnx')
    for target in targets.values():
        if target.resolve() == source.resolve():
            raise OptionError(f'-o {target} is the checkpoint itself, which would be overwritten; give another name')
        if target.is_dir():
            raise OptionError(f'-o {target} is a folder; give the name of a file')
    return targets


def _load(source):
    """The generator on the CPU, on whatever device it was trained."""
    from basicsr_ganzoo.inference import load_generator

    return load_generator(str(source))


def _write_onnx(model, target):
    from basicsr_ganzoo.weights.export import written_whole
    from basicsr_ganzoo.weights.onnx import write_onnx

    requirements = getattr(model, 'size_requirements', None)
    multiple = requirements.multiple_of if requirements else model.multiple
    with written_whole(target) as part:
        difference = write_onnx(getattr(model, 'net', None) or model.model, part, _channels(model), multiple)
    of = f'; height and width in multiples of {multiple}' if multiple > 1 else ''
    print(
        f'{target} ({_megabytes(target)}): input and output (batch, channels, height, width), RGB in 0..1{of}; '
        f'onnxruntime differs from torch by at most {difference:.1g} on crops of a photograph'
    )


def _channels(model):
    return getattr(model, 'input_channels', 3)


def _megabytes(file):
    return f'{file.stat().st_size / 1e6:.1f} MB'
