"""The images of the demo: training patches and held-out images from scikit-image's photographs."""

from importlib import resources

import cv2
import numpy as np
from basicsr.utils.matlab_functions import imresize

from basicsr_ganzoo.errors import DependencyError

#: motorcycle_right.png is in neither, because it shows the same scene as motorcycle_left.png
TRAIN = (
    *('brick.png', 'camera.png', 'coffee.png', 'grass.png', 'gravel.png', 'ihc.png', 'motorcycle_left.png'),
    'rocket.jpg',
)
TEST = ('astronaut.png', 'chelsea.png')
PATCH, STRIDE = 128, 96  # pixels of GT


def prepare(out, scale):
    """Write pairs as PNG files to ``out``/data/{train,test}/{gt,lq}: patches to train on, whole images to test on.

    LQ is BasicSR's (MATLAB's) bicubic downscaling of the whole image in 8 bits, cut like GT.
    """
    for folder in (out / 'data' / split / kind for split in ('train', 'test') for kind in ('gt', 'lq')):
        folder.mkdir(parents=True, exist_ok=True)
        for former in folder.glob('*.png'):
            former.unlink()
    for name in TRAIN + TEST:
        stem, images = name.partition('.')[0], pair(photograph(name), scale)
        for kind, image, factor in zip(('gt', 'lq'), images, (1, scale), strict=True):
            if name in TEST:
                _write(out / 'data/test' / kind / f'{stem}.png', image)
                continue
            for y, x in corners(images[0]):
                top, left, side = y // factor, x // factor, PATCH // factor
                patch = image[top : top + side, left : left + side]
                _write(out / 'data/train' / kind / f'{stem}_{y:04d}_{x:04d}.png', patch)


def photograph(name):
    """One of scikit-image's photographs, (H, W, 3) BGR in 8 bits, read from its package; nothing is downloaded."""
    path = resources.files('skimage.data') / name
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise DependencyError(f'{path} is missing or damaged; pip install --force-reinstall "scikit-image>=0.20"')
    return image


def pair(image, scale):
    """``(gt, lq)``: the image, cropped to a multiple of ``scale``, and its downscaled version."""
    height, width = (side - side % scale for side in image.shape[:2])
    gt = image[:height, :width]
    return gt, resized(gt, 1 / scale)


def resized(image, factor):
    """MATLAB's bicubic resizing of an 8-bit image, to 8 bits."""
    return (imresize(image / 255.0, factor).clip(0, 1) * 255).round().astype(np.uint8)


def corners(image):
    """The top left corners (y, x) of all patches of an image."""
    height, width = image.shape[:2]
    return [(y, x) for y in range(0, height - PATCH + 1, STRIDE) for x in range(0, width - PATCH + 1, STRIDE)]


def _write(path, image):
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path} could not be written')
