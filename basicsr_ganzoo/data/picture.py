"""One picture: its bytes, its size without decoding it, its tensor, and sentences about what is wrong with it."""

import io
import struct

import cv2
import numpy as np
import torch
from PIL import Image

from basicsr_ganzoo.errors import PictureError

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
#: What Pillow raises at a file that is no picture, or only a part of one.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_COLOR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
_WHITE = {'uint8': 255.0, 'uint16': 65535.0}
_ENDS = {b'\x89PNG': b'IEND', b'\xff\xd8\xff': b'\xff\xd9'}
_TAIL = 64  # bytes
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)


def decode(content, path):
    """The bytes of a picture file as (H, W, 3), BGR, in 8 or 16 bits.

    Grey and palette pictures become colour pictures, EXIF's orientation is applied, and an alpha channel is dropped:
    the stored colours stay what they are, as in BasicSR and in Real-ESRGAN's inference.
    """
    if not content:
        raise PictureError(f'{path} is empty')
    try:
        image = None if is_cut_off(content) else cv2.imdecode(np.frombuffer(content, np.uint8), _COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise PictureError(f'{path} is damaged or no picture')
    if str(image.dtype) not in _WHITE:
        raise PictureError(f'{path} holds {image.dtype} samples, and has to hold 8 or 16 bits')
    return image


def to_tensor(image):
    """An image of :func:`decode` as a (3, H, W) RGB tensor in [0, 1].

    The numbers of BasicSR's ``img2tensor``, which leaves the planes interleaved: a batch of such is slow to stack.
    """
    planes = np.stack(cv2.split(np.ascontiguousarray(image))[::-1]).astype(np.float32)
    planes /= _WHITE[str(image.dtype)]
    return torch.from_numpy(planes)


def size_of(path):
    """(H, W) of what :func:`decode` makes of a file, from its header and its end where these are enough.

    Raises:
        PictureError: there is no such file, or no picture in it, or only a part of one.
    """
    try:
        with open(path, 'rb') as file:
            size = _size_in_header(file)
            if size is None or not _ends_as_it_should(file):
                file.seek(0)
                size = decode(file.read(), path).shape[:2]
            return size
    except FileNotFoundError as error:
        raise PictureError(f'there is no file {path}') from error
    except OSError as error:
        raise PictureError(f'{path} cannot be read: {error.strerror or error}') from error


def _size_in_header(file):
    """(H, W), or None where only decoding tells."""
    try:
        image = Image.open(file)
        # Image's own method, because that of a PNG decodes it.
        sideways = Image.Image.getexif(image).get(_ORIENTATION) in _SIDEWAYS
    except DAMAGED:
        return None
    return None if sideways else image.size[::-1]


def _ends_as_it_should(file):
    file.seek(0)
    start = file.read(8)
    file.seek(max(0, file.seek(0, io.SEEK_END) - _TAIL))
    return _end_mark(start) in file.read()


def _end_mark(start):
    return next((end for magic, end in _ENDS.items() if start.startswith(magic)), b'')


def orientation(content):
    """EXIF's orientation of a picture file's bytes, 1 where there is none."""
    try:
        return Image.Image.getexif(Image.open(io.BytesIO(content))).get(_ORIENTATION, 1)
    except DAMAGED:
        return 1


def is_cut_off(content):
    """Whether a part is missing. Some versions of OpenCV fill it with grey, and a valid end may have bytes after it."""
    if _end_mark(content[:8]) in content[-_TAIL:]:
        return False
    try:
        Image.open(io.BytesIO(content)).load()
    except DAMAGED:
        return True
    return False
