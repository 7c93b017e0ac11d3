"""BasicSR's JPEG, which does not ask the device for the quality."""

import copy

import torch
from basicsr.utils import DiffJPEG
from torch import nn
from torch.nn import functional as F

BLOCK = 16  # pixels: the side of a block of the colours, which have half the size


class JPEG(nn.Module):
    """Compresses pictures and gives them back, with the bits of BasicSR's ``DiffJPEG(differentiable=False)``."""

    def __init__(self):
        super().__init__()
        # A copy, because all DiffJPEG share the tables of their module and would move to each other's devices.
        self.parts = copy.deepcopy(DiffJPEG(differentiable=False)).requires_grad_(False)

    def forward(self, image, quality):
        """
        Args:
            image: RGB pictures (N, 3, H, W) in 0..1.
            quality: of each picture, (N,), above 0 and below 100.
        """
        factor = torch.where(quality < 50, 5000.0 / quality, 200.0 - quality * 2) / 100.0
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % BLOCK, 0, -height % BLOCK))
        coefficients = self.parts.compress(padded, factor=factor)
        out = self.parts.decompress(*coefficients, *padded.shape[-2:], factor=factor)
        return out[:, :, :height, :width]
