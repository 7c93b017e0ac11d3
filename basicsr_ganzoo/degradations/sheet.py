"""Contact sheet of degraded images, as training makes them, for ``ganzoo show degradation``."""

import math

import cv2
import numpy as np
import torch
from basicsr.utils import USMSharp, img2tensor, imwrite, set_random_seed, tensor2img

from basicsr_ganzoo.config import read_options
from basicsr_ganzoo.degradations.kernels import RandomKernels, check_same_preset
from basicsr_ganzoo.degradations.second_order import SecondOrderDegradation
from basicsr_ganzoo.errors import OptionError

CROP = 400  # pixels; side of the crops of Real-ESRGAN's dataset, which the model degrades
GAP = 4  # pixels between the images of a sheet


def write_sheet(option_file, image, out, count, seed):
    """Degrade the centre of an image ``count`` times and write GT and the LQ images side by side.

    The first image is GT, the others are LQ, enlarged by nearest neighbour. Each shows the central gt_size x gt_size
    pixels of GT. The same seed gives the same sheet.

    Args:
        option_file: path or name of an option file with the parameters of the degradation.
        image: path of the image.
        out: path of the sheet.
        count: number of LQ images, at least 1.
        seed: seed of all random numbers.

    Raises:
        OptionError: an argument or the option file is wrong, or the image cannot be read or is too small.
    """
    if count < 1:
        raise OptionError(f'--count needs to be at least 1, got {count}')
    opt = read_options(option_file)
    if opt.get('high_order_degradation') is False:
        raise OptionError(f'{option_file} trains on pairs (high_order_degradation: false), so it degrades nothing')
    dataset = {'degradation': 'real', 'crop_pad_size': CROP} | opt['datasets']['train']
    degradation, kernels = SecondOrderDegradation(opt), RandomKernels(dataset)
    check_same_preset(opt)
    size, scale = _gt_size(opt), opt['scale']
    gt = _cut(_read(image), max(dataset['crop_pad_size'] or CROP, size), max(size, degradation.min_size), scale)
    set_random_seed(seed)
    lqs = [_degrade(gt, degradation, kernels, opt) for _ in range(count)]
    tiles = [gt, *(lq.repeat(scale, axis=0).repeat(scale, axis=1) for lq in lqs)]
    _write(out, sheet([_middle(tile, size) for tile in tiles]))
    print(f'{out}: gt, then {count} low-quality images at scale {scale}, each of {size}x{size} pixels of gt')


def sheet(tiles):
    """Arrange square images of one size (H, W, 3), uint8, on a white sheet with about as many rows as columns."""
    size, columns = len(tiles[0]), math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    canvas = np.full((rows * (size + GAP) - GAP, columns * (size + GAP) - GAP, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (place * (size + GAP) for place in divmod(index, columns))
        canvas[top : top + size, left : left + size] = tile
    return canvas


def _gt_size(opt):
    size = opt.get('gt_size')
    if not isinstance(size, int) or size < 1:
        raise OptionError(f'gt_size, at the top level of the option file, needs to be a whole number, got {size!r}')
    return size


def _read(path):
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise OptionError(f'--image cannot be read as an image: {path}')
    return image


def _cut(image, crop, min_size, scale):
    side = min(crop, *image.shape[:2]) // scale * scale
    if side < min_size:
        height, width = image.shape[:2]
        raise OptionError(
            f'--image is {height}x{width} pixels; gt_size and degradation need at least {min_size}x{min_size}'
        )
    return _middle(image, side)


def _middle(image, size):
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size]


@torch.no_grad()
def _degrade(gt, degradation, kernels, opt):
    image = img2tensor(gt / 255.0).unsqueeze(0)
    # Real-ESRGAN always degrades sharpened images, Real-ESRNet only if its losses use them too.
    if opt.get('gt_usm', True) or 'RealESRNet' not in opt['model_type']:
        image = USMSharp()(image)
    return tensor2img(degradation(image, **{name: k.unsqueeze(0) for name, k in kernels.draw().items()}))


def _write(path, image):
    try:
        imwrite(image, str(path))
    except (OSError, cv2.error) as error:
        raise OptionError(f'--out cannot be written to {path}: {" ".join(str(error).split())}') from error
