"""Second-order degradation of Real-ESRGAN, on any device."""

import math
import random

import numpy as np
import torch
from basicsr.utils.img_process_util import filter2D
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.degradations.jpeg import JPEG
from basicsr_ganzoo.degradations.kernels import SIDE
from basicsr_ganzoo.degradations.noise import add_gaussian_noise, add_poisson_noise
from basicsr_ganzoo.degradations.presets import settings
from basicsr_ganzoo.errors import OptionError

STAGE = (
    'resize_prob',
    'resize_range',
    'gaussian_noise_prob',
    'noise_range',
    'poisson_scale_range',
    'gray_noise_prob',
    'jpeg_range',
)
KEYS = (*STAGE, 'second_blur_prob', *(f'{key}2' for key in STAGE))


class SecondOrderDegradation(nn.Module):
    """Blur, resize, noise and JPEG, twice, with a final sinc filter (Real-ESRGAN, arXiv:2107.10833, Sec. 3).

    Draws from ``random``, ``numpy`` and torch in the order of BasicSR's RealESRGANModel, with bit-equal results on a
    CPU. It never synchronizes with a GPU, where grey noise is drawn even if no image of the batch has it. Kernels,
    noise and JPEG qualities differ within a batch; the sizes and modes of the resizes are shared.

    Args:
        opt: top level of an option file, with ``scale`` and Real-ESRGAN's keys (:data:`KEYS`), or ``degradation``, the
            name of a preset, or both; other keys are ignored.

    Raises:
        OptionError: a key is missing or misspelt, or its value is out of range.
    """

    def __init__(self, opt):
        super().__init__()
        self.scale = opt.get('scale')
        if not isinstance(self.scale, int) or self.scale < 1:
            raise OptionError(f'the degradation needs scale to be a whole number from 1, got {self.scale!r}')
        values = settings(opt, KEYS)
        self.second_blur_prob = values['second_blur_prob']
        self.stages = [{key: values[key + suffix] for key in STAGE} for suffix in ('', '2')]
        self.jpeg = JPEG()

    @property
    def min_size(self):
        """The minimum H and W of GT in pixels: half a kernel must fit into every image that is blurred."""
        needed = SIDE // 2 + 1
        return max(needed * self.scale, math.ceil(needed / self.stages[0]['resize_range'][0]))

    @torch.no_grad()
    def forward(self, gt, kernel1, kernel2, sinc_kernel):
        """Degrade images.

        Args:
            gt: RGB images (N, 3, H, W) in 0..1, sharpened before, as in Real-ESRGAN, or not.
            kernel1, kernel2, sinc_kernel: kernels (N, 21, 21), one of each per image.

        Returns:
            lq (N, 3, H / scale, W / scale), in 0..1, rounded to multiples of 1/255.

        Raises:
            OptionError: the images do not have 3 channels, are too small, or their size is not a multiple of ``scale``.
        """
        self._check(gt)
        first, second = self.stages
        out = _blur(gt, kernel1)
        out = F.interpolate(out, scale_factor=_random_scale(first), mode=_random_mode())
        out = self._compress(_add_noise(out, first), first)

        if np.random.uniform() < self.second_blur_prob:
            out = _blur(out, kernel2)
        scale = _random_scale(second)
        size = [int(side / self.scale * scale) for side in gt.shape[-2:]]
        out = _add_noise(F.interpolate(out, size=size, mode=_random_mode()), second)

        size = [side // self.scale for side in gt.shape[-2:]]
        if np.random.uniform() < 0.5:
            out = self._compress(_resize_and_filter(out, size, sinc_kernel), second)
        else:
            out = _resize_and_filter(self._compress(out, second), size, sinc_kernel)
        return torch.clamp((out * 255.0).round(), 0, 255) / 255.0

    def _check(self, gt):
        channels, *size = gt.shape[1:]
        if channels != 3:
            raise OptionError(f'the degradation needs images with 3 channels, because of JPEG, got {channels}')
        if min(size) < self.min_size or any(side % self.scale for side in size):
            raise OptionError(
                f'the degradation needs H and W of gt to be at least {self.min_size} '
                f'and multiples of the scale {self.scale}, got {size[0]}x{size[1]}'
            )

    def _compress(self, image, stage):
        quality = image.new_zeros(image.size(0)).uniform_(*stage['jpeg_range'])
        return self.jpeg(torch.clamp(image, 0, 1), quality)


def _random_scale(stage):
    way = random.choices(['up', 'down', 'keep'], stage['resize_prob'])[0]
    low, high = stage['resize_range']
    bounds = {'up': (1, high), 'down': (low, 1)}
    return np.random.uniform(*bounds[way]) if way in bounds else 1


def _random_mode():
    return random.choice(['area', 'bilinear', 'bicubic'])


def _add_noise(image, stage):
    if np.random.uniform() < stage['gaussian_noise_prob']:
        return add_gaussian_noise(image, stage['noise_range'], stage['gray_noise_prob'])
    return add_poisson_noise(image, stage['poisson_scale_range'], stage['gray_noise_prob'])


def _resize_and_filter(image, size, sinc_kernel):
    return _blur(F.interpolate(image, size=size, mode=_random_mode()), sinc_kernel)


def _blur(image, kernel):
    # filter2D cannot view the strides that JPEG leaves. Elsewhere they stay, because the drawn noise depends on them.
    return filter2D(image.contiguous(), kernel)
