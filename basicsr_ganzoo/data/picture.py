"""One image file: decoding, its size from the header, its tensor, and errors that name it."""

import io
import struct

import cv2
import numpy as np
import torch
from PIL import Image

from basicsr_ganzoo.errors import PictureError

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
#: what Pillow raises for a file that is no image or is truncated
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_COLOR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
_WHITE = {'uint8': 255.0, 'uint16': 65535.0}
_ENDS = {b'\x89PNG': b'IEND', b'\xff\xd8\xff': b'\xff\xd9'}
_TAIL = 64  # bytes that are searched for the end mark
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)


def decode(content, path):
    """Decode the bytes of an image file to (H, W, 3), BGR, 8 or 16 bits.

    Grey and palette images become colour images, the EXIF orientation is applied, and alpha is dropped without
    blending, as in BasicSR and in Real-ESRGAN's inference.
    """
    if not content:
        raise PictureError(f'{path} is empty')
    try:
        image = None if is_cut_off(content) else cv2.imdecode(np.frombuffer(content, np.uint8), _COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise PictureError(f'{path} is damaged or no image')
    if str(image.dtype) not in _WHITE:
        raise PictureError(f'{path} holds {image.dtype} samples, and has to hold 8 or 16 bits')
    return image


def to_tensor(image):
    """Convert an image of :func:`decode` to an RGB tensor (3, H, W) in [0, 1].

    The values equal those of BasicSR's ``img2tensor``. The layout is contiguous, so batches are faster to collate.
    """
    planes = np.stack(cv2.split(np.ascontiguousarray(image))[::-1]).astype(np.float32)
    planes /= _WHITE[str(image.dtype)]
    return torch.from_numpy(planes)


def size_of(path):
    """The size (H, W) that :func:`decode` would give, read from the header and the end of the file if possible.

    Raises:
        PictureError: the file does not exist, is no image, or is truncated.
    """
    try:
        with open(path, 'rb') as file:
            size = _size_in_header(file)
            if size is None or not _has_end_mark(file):
                file.seek(0)
                size = decode(file.read(), path).shape[:2]
            return size
    except FileNotFoundError as error:
        raise PictureError(f'there is no file {path}') from error
    except OSError as error:
        raise PictureError(f'{path} cannot be read: {error.strerror or error}') from error


def _size_in_header(file):
    """(H, W), or None if the file must be decoded to know."""
    try:
        image = Image.open(file)
        # Image's method, because PngImageFile's would decode the file.
        sideways = Image.Image.getexif(image).get(_ORIENTATION) in _SIDEWAYS
    except DAMAGED:
        return None
    return None if sideways else image.size[::-1]


def _has_end_mark(file):
    file.seek(0)
    start = file.read(8)
    file.seek(max(0, file.seek(0, io.SEEK_END) - _TAIL))
    return _end_mark(start) in file.read()


def _end_mark(start):
    return next((end for magic, end in _ENDS.items() if start.startswith(magic)), b'')


def orientation(content):
    """The EXIF orientation of an image file's bytes; 1 if it has none."""
    try:
        return Image.Image.getexif(Image.open(io.BytesIO(content))).get(_ORIENTATION, 1)
    except DAMAGED:
        return 1


def is_cut_off(content):
    """Whether the file is truncated, which some versions of OpenCV hide with grey. Bytes after a valid end are fine."""
    if _end_mark(content[:8]) in content[-_TAIL:]:
        return False
    try:
        Image.open(io.BytesIO(content)).load()
    except DAMAGED:
        return True
    return False
