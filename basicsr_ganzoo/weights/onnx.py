"""Export of a generator to ONNX with dynamic batch, height and width, verified by comparing onnxruntime with torch."""

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
#: (batch, height, width) of the crops that are compared; none has the size of the trace
COMPARED = ((1, 96, 80), (2, 48, 112))
TOLERANCE = 1e-3  # for intensities in 0..1: a quarter of an 8-bit step


def check_packages():
    """Check that the optional packages are installed.

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
    """Write a network to ``path``, from ``input`` to ``output``, both (batch, channels, height, width), RGB in 0..1.

    The tracing exporter of torch is tried first. If it fixes values that depend on the size, which the comparison
    detects, the exporter by torch.export is tried.

    Args:
        net: the network, on the CPU.
        path: the file; it is overwritten, and unusable after an error.
        channels: channels of the input.
        multiple: H and W of the input must be multiples of this.

    Returns:
        The largest difference between onnxruntime and torch on crops of a photograph, in 0..1.

    Raises:
        OptionError: neither exporter agrees with torch to :data:`TOLERANCE`.
    """
    net = net.eval().float().requires_grad_(False)
    reasons = []
    for export in (_by_tracing, _by_torch_export):
        try:
            with _silence():
                export(net, torch.rand(1, channels, *_rounded(TRACED, multiple)), str(path))
            difference = _difference(net, path, channels, multiple)
        except Exception as error:  # torch and onnxruntime raise many types
            reasons.append(type(error).__name__)
            continue
        if difference <= TOLERANCE:
            return difference
        reasons.append(f'onnxruntime differs from torch by {difference:.2g}')
    raise OptionError(
        f'{type(net).__name__} cannot be exported to ONNX for all image sizes: the exporters of torch gave '
        f'{" and ".join(reasons)}; use .safetensors or .pth'
    )


def _by_tracing(net, image, path):
    # Since torch 2.5 one function has two exporters; before, it has only this one.
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
        (image.repeat(2, 1, 1, 1),),  # an axis of length 1 would become a constant
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
    options.log_severity_level = 4  # errors are also raised
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    worst = 0.0
    for count, *size in COMPARED:
        image = _photographs(count, channels, *_rounded(size, multiple))
        expected = net(image)
        found = torch.from_numpy(session.run(None, {'input': image.numpy()})[0])
        if found.shape != expected.shape:
            raise ValueError(f'the output has the shape {tuple(found.shape)} instead of {tuple(expected.shape)}')
        worst = max(worst, float((found - expected).abs().max()))
    return worst


def _photographs(count, channels, height, width):
    """Crops (N, C, H, W) of a photograph of a cat, in 0..1."""
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1) / 255
    photo = photo.mean(0, keepdim=True) if channels == 1 else photo[torch.arange(channels) % 3]
    crops = [photo[:, top : top + height, 150 : 150 + width] for top in range(80, 80 + 20 * count, 20)]
    return torch.stack(crops).contiguous()


def _rounded(size, multiple):
    return [-(-side // multiple) * multiple for side in size]


@contextlib.contextmanager
def _silence():
    """Suppress the output and warnings of the exporters; the comparison finds the errors that matter."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)
