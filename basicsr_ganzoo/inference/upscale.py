"""Pictures through a trained generator: any file that spandrel knows, in tiles if memory is short."""

from pathlib import Path

import cv2
import numpy as np
import torch

from basicsr_ganzoo.data.picture import is_cut_off, orientation
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.inference.tiling import in_tiles
from basicsr_ganzoo.weights.generators import recognised

EXTENSIONS = {'.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff'}
#: what turns a picture upright, by EXIF's orientation
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
    """Load a generator; spandrel finds out from the file which network it is, and we where spandrel does not.

    Returns:
        spandrel's descriptor, or a :class:`~basicsr_ganzoo.weights.generators.Generator` in its place.

    Raises:
        OptionError: no such file, or no generator from picture to picture that spandrel knows.
    """
    from spandrel import ImageModelDescriptor, ModelLoader

    if not Path(path).is_file():
        raise OptionError(f'there is no file {path}; correct the path')
    try:
        model = ModelLoader(device=device).load_from_file(path)
    except Exception as error:  # spandrel and torch raise many kinds for a file that is none of theirs
        known = recognised(path, device)
        if known:
            return known
        reason = ' '.join(str(error).split())[:200]
        raise OptionError(
            f'{path} is no generator that spandrel or we know ({type(error).__name__}: {reason})'
        ) from error
    if not isinstance(model, ImageModelDescriptor):
        raise OptionError(f'{path} is a {model.architecture.name}, which does not turn one picture into another')
    return model.eval()


def upscale_tensor(model, image, tile=0):
    """Upscale an image (N, C, H, W) in 0..1 with a spandrel model to (N, C, H * scale, W * scale).

    Args:
        model: what :func:`load_generator` returns.
        image: on the model's device.
        tile: side in pixels of the LQ tiles; 0 takes the picture whole.
    """
    return in_tiles(model, image, tile)


def upscale_picture(model, picture, tile=0):
    """Upscale a picture as cv2 reads it: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, of 8 or 16 bits, which it keeps.

    A grey picture and an alpha channel go through the network as three equal channels, of which the mean is kept.
    """
    white = np.iinfo(picture.dtype).max
    planes = picture.astype(np.float32) / white
    if planes.ndim == 2:
        out = _through_network(model, np.repeat(planes[..., None], 3, axis=2), tile).mean(axis=2)
    elif planes.shape[2] == 4:
        alpha = _through_network(model, np.repeat(planes[..., 3:], 3, axis=2), tile).mean(axis=2, keepdims=True)
        out = np.concatenate([_through_network(model, planes[..., :3], tile), alpha], axis=2)
    else:
        out = _through_network(model, planes, tile)
    return (out.clip(0, 1) * white).round().astype(picture.dtype)


def _through_network(model, bgr, tile):
    rgb = np.ascontiguousarray(bgr[..., ::-1].transpose(2, 0, 1))
    out = upscale_tensor(model, torch.from_numpy(rgb)[None].to(model.device), tile)[0]
    return out.float().cpu().numpy().transpose(1, 2, 0)[..., ::-1]


def pictures_in(path):
    """The picture files at ``path``, a file or a folder (with what is below it), with their place relative to it.

    Raises:
        OptionError: there is nothing, or no picture.
    """
    path = Path(path)
    if path.is_file():
        return [(path, Path(path.name))]
    if not path.is_dir():
        raise OptionError(f'-i names neither a picture nor a folder: {path}')
    found = [file for file in sorted(path.rglob('*')) if file.suffix.lower() in EXTENSIONS and file.is_file()]
    if not found:
        raise OptionError(f'{path} holds no pictures ({" ".join(sorted(EXTENSIONS))})')
    return [(file, file.relative_to(path)) for file in found]


def read_picture(path):
    """Read a picture of 8 or 16 bits with all its channels, turned as its EXIF data say.

    Raises:
        OptionError: the file cannot be read, or is no such picture, or only a part of one.
    """
    try:
        content = path.read_bytes()
        whole = bool(content) and not is_cut_off(content)
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    except OSError as error:
        raise OptionError(f'{path} cannot be read: {error.strerror}') from error
    except cv2.error:
        picture = None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise OptionError(f'{path} cannot be read as a whole picture of 8 or 16 bits')
    return np.ascontiguousarray(TURNS.get(orientation(content), lambda image: image)(picture))
