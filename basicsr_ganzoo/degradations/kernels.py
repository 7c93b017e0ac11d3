"""Random blur kernels of the second-order degradation, drawn as in Real-ESRGAN's dataset."""

import math
import random

import numpy as np
import torch
from basicsr.data.degradations import circular_lowpass_kernel, random_mixed_kernels

from basicsr_ganzoo.degradations.presets import settings
from basicsr_ganzoo.errors import OptionError

SIDE = 21  # pixels; smaller kernels are padded with zeros to this
SIDES = tuple(range(7, SIDE + 1, 2))
STAGE = ('kernel_list', 'kernel_prob', 'sinc_prob', 'blur_sigma', 'betag_range', 'betap_range')
KEYS = (*STAGE, *(f'{key}2' for key in STAGE), 'final_sinc_prob')


def check_same_preset(opt):
    """Raise ``OptionError`` if an option file has a preset for the model, but its dataset draws other kernels."""
    block, name = (opt.get('datasets') or {}).get('train'), opt.get('degradation')
    if not block or name is None or block.get('degradation') == name:
        return
    if any(block.get(key) is None for key in KEYS):
        raise OptionError(
            f'degradation is {name} at the top level but {block.get("degradation") or "missing"} in datasets.train, '
            f'which draws the blur kernels; set degradation: {name} there too, or all keys of the kernels'
        )


class RandomKernels:
    """Draws the two blur kernels and the final sinc filter of one image (Real-ESRGAN, arXiv:2107.10833, Sec. 3).

    The draws and their order equal those of BasicSR's RealESRGANDataset, which uses ``random`` and ``numpy``.

    Args:
        opt: the dataset's block of an option file, with Real-ESRGAN's keys (:data:`KEYS`), or ``degradation``, the name
            of a preset, or both; other keys are ignored. ``blur_kernel_size`` is not needed: sides are 7, 9, ..., 21.

    Raises:
        OptionError: a key is missing or misspelt, or its value is out of range.
    """

    def __init__(self, opt):
        for key in ('blur_kernel_size', 'blur_kernel_size2'):
            if (opt.get(key) or SIDE) != SIDE:
                raise OptionError(f'{key} is always {SIDE}, the side to which kernels are padded, got {opt[key]!r}')
        values = settings(opt, KEYS)
        self.stages = [{key: values[key + suffix] for key in STAGE} for suffix in ('', '2')]
        self.final_sinc_prob = values['final_sinc_prob']
        for suffix, stage in zip(('', '2'), self.stages, strict=True):
            if len(stage['kernel_list']) != len(stage['kernel_prob']):
                raise OptionError(f'kernel_prob{suffix} needs one probability for each entry of kernel_list{suffix}')

    def draw(self):
        """Draw ``kernel1``, ``kernel2`` and ``sinc_kernel``: a dict of float32 tensors (21, 21), each of sum 1."""
        kernels = [self._blur(stage) for stage in self.stages]
        kernels.append(self._final_sinc())
        return dict(zip(('kernel1', 'kernel2', 'sinc_kernel'), map(torch.FloatTensor, kernels), strict=True))

    def _blur(self, stage):
        side = random.choice(SIDES)
        if np.random.uniform() < stage['sinc_prob']:
            cutoff = np.random.uniform(np.pi / (3 if side < 13 else 5), np.pi)
            kernel = circular_lowpass_kernel(cutoff, side, pad_to=False)
        else:
            kernel = random_mixed_kernels(
                stage['kernel_list'],
                stage['kernel_prob'],
                side,
                stage['blur_sigma'],
                stage['blur_sigma'],
                [-math.pi, math.pi],
                stage['betag_range'],
                stage['betap_range'],
                noise_range=None,
            )
        return np.pad(kernel, (SIDE - side) // 2)

    def _final_sinc(self):
        if np.random.uniform() < self.final_sinc_prob:
            side = random.choice(SIDES)
            return circular_lowpass_kernel(np.random.uniform(np.pi / 3, np.pi), side, pad_to=SIDE)
        pulse = np.zeros((SIDE, SIDE))  # the identity
        pulse[SIDE // 2, SIDE // 2] = 1
        return pulse
