"""Run a trained generator on images, whole or in tiles."""

from basicsr_ganzoo.inference.tiling import in_tiles
from basicsr_ganzoo.inference.upscale import load_generator, upscale_image

__all__ = ['in_tiles', 'load_generator', 'upscale_image']
