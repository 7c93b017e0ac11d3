"""A generator as ONNX with free batch, height and width, accepted only if onnxruntime makes of it what torch makes."""

import contextlib
import importlib
import inspect
import io
import logging
import warnings

import torch
from skimage import data

from basicsr_ganzoo.errors import OptionError

PACKAGES = ('onnx', 'onnxruntime', 'onnxscript')
OPSET = 17
TRACED = (64, 64)
#: (pictures, height, width) of the crops that are compared; none has the size that was traced
COMPARED = ((1, 96, 80), (2, 48, 112))
TOLERANCE = 1e-3  # of an intensity in 0..1: a quarter of a step of 8 bits


def check_packages():
    """Look whether the optional packages are there, before anything is done.

    Raises:
        OptionError: one is missing.
    """
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise OptionError(
                f'ONNX needs the package {error.name!r}, which is not installed; pip install "basicsr-ganzoo[onnx]"'
            ) from error


def write_onnx(net, path, channels=3, multiple=1):
    """Write a network to ``path``: ``input`` (batch, C, height, width), RGB in 0..1, to ``output`` of the same kind.

    The tracing exporter of torch comes first; where it fixes what depends on the size, which the comparison shows, its
    exporter by torch.export follows.

    Args:
        net: the network, on the CPU.
        path: where to write; what is there is replaced, and is of no use after an error.
        channels: of its input.
        multiple: H and W of its input have to be multiples of this.

    Returns:
        The largest difference between onnxruntime and torch on parts of a photograph, in 0..1.

    Raises:
        OptionError: neither exporter makes a program that agrees with torch to :data:`TOLERANCE`.
    """
    net = net.eval().float().requires_grad_(False)
    reasons = []
    for export in (_by_tracing, _by_torch_export):
        try:
            with _silence():
                export(net, torch.rand(1, channels, *_rounded(TRACED, multiple)), str(path))
            difference = _difference(net, path, channels, multiple)
        except Exception as error:  # torch and onnxruntime raise many kinds for what they cannot express
            reasons.append(type(error).__name__)
            continue
        if difference <= TOLERANCE:
            return difference
        reasons.append(f'onnxruntime differs from torch by {difference:.2g}')
    raise OptionError(
        f'{type(net).__name__} cannot be exported to ONNX for all sizes of pictures: the exporters of torch gave '
        f'{" and ".join(reasons)}; take .safetensors or .pth'
    )


def _by_tracing(net, image, path):
    # torch 2.5 has two exporters behind one function and asks which one; before it there is this one.
    which = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    out_axes = {0: 'batch', 2: 'out_height', 3: 'out_width'}
    torch.onnx.export(
        net,
        (image,),
        path,
        opset_version=OPSET,
        input_names=['input'],
        output_names=['output'],
        dynamic_axes={'input': axes, 'output': out_axes},
        **which,
    )


def _by_torch_export(net, image, path):
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    torch.onnx.export(
        net,
        (image.repeat(2, 1, 1, 1),),  # an axis of length 1 would be taken for a constant
        path,
        input_names=['input'],
        output_names=['output'],
        dynamic_shapes=(free,),
        external_data=False,
        dynamo=True,
    )


@torch.no_grad()
def _difference(net, path, channels, multiple):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    worst = 0.0
    for count, *size in COMPARED:
        image = _photographs(count, channels, *_rounded(size, multiple))
        expected = net(image)
        found = torch.from_numpy(session.run(None, {'input': image.numpy()})[0])
        if found.shape != expected.shape:
            raise ValueError(f'the output has the shape {tuple(found.shape)} in place of {tuple(expected.shape)}')
        worst = max(worst, float((found - expected).abs().max()))
    return worst


def _photographs(count, channels, height, width):
    """Parts (N, C, H, W) of a photograph of a cat, in 0..1."""
    picture = torch.from_numpy(data.chelsea()).permute(2, 0, 1) / 255
    picture = picture.mean(0, keepdim=True) if channels == 1 else picture[torch.arange(channels) % 3]
    parts = [picture[:, top : top + height, 150 : 150 + width] for top in range(80, 80 + 20 * count, 20)]
    return torch.stack(parts).contiguous()


def _rounded(size, multiple):
    return [-(-side // multiple) * multiple for side in size]


@contextlib.contextmanager
def _silence():
    """Without what the exporters print and warn of; what matters, the comparison finds."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)
