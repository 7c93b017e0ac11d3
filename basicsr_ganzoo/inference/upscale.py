"""Upscaling of images with a trained generator, of any architecture that spandrel knows."""

from pathlib import Path

import cv2
import numpy as np
import torch

from basicsr_ganzoo.data.picture import EXTENSIONS, is_cut_off, orientation
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.inference.tiling import in_tiles
from basicsr_ganzoo.weights.generators import recognize

#: orientation of EXIF -> transform to the upright image
TURNS = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


def load_generator(path, device='cpu'):
    """Load a generator, whose architecture is inferred from the file, by spandrel or by :mod:`..weights.generators`.

    Returns:
        spandrel's descriptor, or a :class:`~basicsr_ganzoo.weights.generators.Generator`.

    Raises:
        OptionError: the file is missing, or does not hold a known generator from image to image.
    """
    from spandrel import ImageModelDescriptor, ModelLoader

    if not Path(path).is_file():
        raise OptionError(f'there is no file {path}; correct the path')
    try:
        model = ModelLoader(device=device).load_from_file(path)
    except Exception as error:  # spandrel and torch raise many types for other files
        known = recognize(path, device)
        if known:
            return known
        reason = ' '.join(str(error).split())[:200]
        raise OptionError(
            f'{path} is not a generator that spandrel or BasicSR knows ({type(error).__name__}: {reason})'
        ) from error
    if not isinstance(model, ImageModelDescriptor):
        raise OptionError(f'{path} is a {model.architecture.name}, which does not map one image to another')
    return model.eval()


def upscale_tensor(model, image, tile=0):
    """Upscale an image (N, C, H, W) in 0..1 to (N, C, H * scale, W * scale).

    Args:
        model: the result of :func:`load_generator`.
        image: on the model's device.
        tile: side of the tiles in LQ pixels; 0 for no tiles.
    """
    return in_tiles(model, image, tile)


def upscale_image(model, image, tile=0):
    """Upscale an image as cv2 reads it: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, uint8 or uint16, which is kept.

    A grey image and an alpha channel go through the network as three equal channels, which are averaged.
    """
    white = np.iinfo(image.dtype).max
    planes = image.astype(np.float32) / white
    if planes.ndim == 2:
        out = _through_network(model, np.repeat(planes[..., None], 3, axis=2), tile).mean(axis=2)
    elif planes.shape[2] == 4:
        alpha = _through_network(model, np.repeat(planes[..., 3:], 3, axis=2), tile).mean(axis=2, keepdims=True)
        out = np.concatenate([_through_network(model, planes[..., :3], tile), alpha], axis=2)
    else:
        out = _through_network(model, planes, tile)
    return (out.clip(0, 1) * white).round().astype(image.dtype)


def _through_network(model, bgr, tile):
    rgb = np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1))
    out = upscale_tensor(model, torch.from_numpy(rgb)[None].to(model.device), tile)[0]
    return out.float().cpu().numpy().transpose(1, 2, 0)[..., ::-1]


def find_images(path):
    """The image files at ``path``, a file or a folder that is searched recursively, with their paths relative to it.

    Raises:
        OptionError: there is no such path, or no image in it.
    """
    path = Path(path)
    if path.is_file():
        return [(path, Path(path.name))]
    if not path.is_dir():
        raise OptionError(f'-i is neither an image nor a folder: {path}')
    found = [file for file in sorted(path.rglob('*')) if file.suffix.lower() in EXTENSIONS and file.is_file()]
    if not found:
        raise OptionError(f'{path} holds no images ({" ".join(EXTENSIONS)})')
    return [(file, file.relative_to(path)) for file in found]


def read_image(path):
    """Read an image of 8 or 16 bits with all its channels, turned upright as its EXIF orientation says.

    Raises:
        OptionError: the file cannot be read, or is not a complete image of 8 or 16 bits.
    """
    try:
        content = path.read_bytes()
        whole = bool(content) and not is_cut_off(content)
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    except OSError as error:
        raise OptionError(f'{path} cannot be read: {error.strerror}') from error
    except cv2.error:
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise OptionError(f'{path} cannot be read as a complete image of 8 or 16 bits')
    return np.ascontiguousarray(TURNS.get(orientation(content), lambda image: image)(image))
