"""Upscale an image, or a folder of images, with a trained generator; its architecture is recognised from the file."""

from pathlib import Path

KEEPING = ('.png', '.tif', '.tiff')  # formats that keep alpha and 16 bits


def add_arguments(parser):
    parser.add_argument('-m', dest='checkpoint', required=True, metavar='FILE', help='generator: .pth or .safetensors')
    parser.add_argument('-i', dest='source', required=True, metavar='PATH', help='an image, or a folder of images')
    parser.add_argument('-o', dest='out', required=True, type=Path, metavar='PATH', help='a .png file, or a folder')
    parser.add_argument('--tile', type=int, default=0, metavar='N', help='side of LQ tiles in pixels; 0: no tiles')
    parser.add_argument('--device', help='cpu, cuda, ... (default: cuda if available)')


def run(args):
    from rich.progress import track

    from basicsr_ganzoo.errors import OptionError
    from basicsr_ganzoo.inference import upscale

    if args.tile < 0:
        raise OptionError(f'--tile needs to be 0 or more pixels, got {args.tile}')
    jobs = _jobs(upscale.find_images(args.source), Path(args.source), args.out)
    model = upscale.load_generator(args.checkpoint, _device(args.device))
    print(f'{model.architecture.name} x{model.scale} on {model.device}')
    skipped = []
    for source, target in track(jobs, description='upscaling'):
        try:
            image = upscale.read_image(source)
        except OptionError as error:
            skipped.append(str(error))
            continue
        _write(upscale.upscale_image(model, image, args.tile), target)
    if skipped:
        more = f' (and {len(skipped) - 1} more)' if len(skipped) > 1 else ''
        raise OptionError(f'{skipped[0]}{more}; the other images were upscaled')


def _jobs(images, source, out):
    """Pairs of source and target files. A single image may get a file name; a folder keeps its tree, as PNG."""
    from basicsr_ganzoo.errors import OptionError

    if source.is_file() and out.suffix and not out.is_dir():
        return [(source, _single(source, out))]
    if out.is_file():
        raise OptionError(f'-o {out} is a file, but {source} is a folder; give a folder')
    # An output folder inside the source may hold the results of an earlier run.
    images = [pair for pair in images if out.resolve() == source.resolve() or not _is_below(pair[0], out)]
    targets = [out / relative.with_suffix('.png') for _, relative in images]
    for index, target in enumerate(targets):
        if target in targets[:index] or target.resolve() == images[index][0].resolve():
            raise OptionError(f'-o {out}: {target} would be overwritten; give another folder')
    return [(image, target) for (image, _), target in zip(images, targets, strict=True)]


def _is_below(path, folder):
    return path.resolve().is_relative_to(folder.resolve())


def _single(source, out):
    """The output file for a single image: a format that keeps alpha and 16 bits, and not the input itself."""
    from basicsr_ganzoo.errors import OptionError

    if out.suffix.lower() not in KEEPING:
        raise OptionError(f'-o needs to be a folder or a file that ends with {", ".join(KEEPING)}, got {out}')
    if out.resolve() == source.resolve():
        raise OptionError(f'-o {out} is the input image itself, which would be overwritten; give another name')
    return out


def _device(name):
    import torch

    from basicsr_ganzoo.errors import OptionError

    try:
        device = torch.device(name or ('cuda' if torch.cuda.is_available() else 'cpu'))
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise OptionError(f'--device {name} cannot be used: {str(error).splitlines()[0]}') from error
    return device


def _write(image, target):
    import cv2

    from basicsr_ganzoo.errors import OptionError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = cv2.imwrite(str(target), image)
    except (OSError, cv2.error) as error:
        raise OptionError(f'cannot write {target}: {" ".join(str(error).split())}') from error
    if not done:
        raise OptionError(f'cannot write {target}')
