"""Training patches and held-out pictures from the photographs that come with scikit-image."""

from importlib import resources

import cv2
import numpy as np
from basicsr.utils.matlab_functions import imresize

from basicsr_ganzoo.errors import DependencyError

#: No picture is in both, and motorcycle_right.png is in neither, because it shows what motorcycle_left.png shows.
TRAIN = (
    'brick.png',
    'camera.png',
    'coffee.png',
    'grass.png',
    'gravel.png',
    'ihc.png',
    'motorcycle_left.png',
    'rocket.jpg',
)
TEST = ('astronaut.png', 'chelsea.png')
PATCH, STRIDE = 128, 96  # pixels of GT


def prepare(out, scale):
    """Write the pairs as PNG files to ``out``/data/{train,test}/{gt,lq}: patches to train on, whole pictures to test.

    LQ is BasicSR's (MATLAB's) bicubic reduction of the whole picture, rounded to 8 bits, then cut like GT.
    """
    folders = {(split, kind): out / 'data' / split / kind for split in ('train', 'test') for kind in ('gt', 'lq')}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
        for former in folder.glob('*.png'):
            former.unlink()
    for name in TRAIN:
        stem, (gt, lq) = name.partition('.')[0], pair(photograph(name), scale)
        for y, x in corners(gt):
            patch_name = f'{stem}_{y:04d}_{x:04d}.png'
            write(folders['train', 'gt'] / patch_name, gt[y : y + PATCH, x : x + PATCH])
            y, x, size = y // scale, x // scale, PATCH // scale
            write(folders['train', 'lq'] / patch_name, lq[y : y + size, x : x + size])
    for name in TEST:
        gt, lq = pair(photograph(name), scale)
        write(folders['test', 'gt'] / f'{name.partition(".")[0]}.png', gt)
        write(folders['test', 'lq'] / f'{name.partition(".")[0]}.png', lq)


def photograph(name):
    """One of scikit-image's pictures, (H, W, 3) BGR in 8 bits, read from its package: nothing is downloaded."""
    path = resources.files('skimage.data') / name
    if not path.is_file():
        raise DependencyError(f'scikit-image has no {name} here; pip install --force-reinstall "scikit-image>=0.20"')
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DependencyError(f'{path} is damaged; pip install --force-reinstall "scikit-image>=0.20"')
    return image


def pair(image, scale):
    """``(gt, lq)``: the image, cropped to a multiple of ``scale``, and its reduction."""
    height, width = (side - side % scale for side in image.shape[:2])
    gt = image[:height, :width]
    return gt, resized(gt, 1 / scale)


def resized(image, factor):
    """MATLAB's bicubic resizing of an 8-bit image, to 8 bits."""
    return (imresize(image / 255.0, factor).clip(0, 1) * 255).round().astype(np.uint8)


def corners(image):
    """The top left corners (y, x) of all patches that fit in."""
    height, width = image.shape[:2]
    return [(y, x) for y in range(0, height - PATCH + 1, STRIDE) for x in range(0, width - PATCH + 1, STRIDE)]


def write(path, image):
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path} could not be written')
