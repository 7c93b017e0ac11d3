"""BasicSR's differentiable JPEG without a device synchronization for the quality."""

import copy

import torch
from basicsr.utils import DiffJPEG
from torch import nn
from torch.nn import functional as F

BLOCK = 16  # pixels: side of a chroma block, which is subsampled by 2


class JPEG(nn.Module):
    """JPEG compression and decompression, bit-equal to BasicSR's ``DiffJPEG(differentiable=False)``."""

    def __init__(self):
        super().__init__()
        # A copy, because all DiffJPEG instances share the tables of their module, and with them their device.
        self.parts = copy.deepcopy(DiffJPEG(differentiable=False)).requires_grad_(False)

    def forward(self, image, quality):
        """Compress and decompress images.

        Args:
            image: RGB images (N, 3, H, W) in 0..1.
            quality: JPEG quality of each image, (N,), above 0 and below 100.

        Returns:
            The images (N, 3, H, W).
        """
        factor = torch.where(quality < 50, 5000.0 / quality, 200.0 - quality * 2) / 100.0
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % BLOCK, 0, -height % BLOCK))
        coefficients = self.parts.compress(padded, factor=factor)
        out = self.parts.decompress(*coefficients, *padded.shape[-2:], factor=factor)
        return out[:, :, :height, :width]
