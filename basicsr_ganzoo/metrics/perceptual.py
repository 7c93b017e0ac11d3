"""LPIPS and DISTS, computed by pyiqa, an optional package that is imported when a metric is first computed."""

import functools
from typing import Literal

import torch
from basicsr.utils.registry import METRIC_REGISTRY

from basicsr_ganzoo.config.types import Natural
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register

#: ``net`` of LPIPS -> name in pyiqa
NETS = {'alex': 'lpips', 'vgg': 'lpips-vgg'}


@register(METRIC_REGISTRY)
def calculate_lpips(
    img, img2, crop_border: Natural = 0, net: Literal[tuple(NETS)] = 'alex', device: str = 'auto', **kwargs
):
    """LPIPS, the distance between deep features of two images, by pyiqa (arXiv:1801.03924). Lower is better.

    Args:
        img, img2: images (H, W, 3), BGR, uint8; BasicSR's validation passes them.
        crop_border: number of pixels at each edge to ignore.
        net: ``alex``, as in most papers, or ``vgg``.
        device: such as ``cuda``; ``auto`` uses the GPU if there is one.

    Raises:
        OptionError: pyiqa is not installed, ``net`` is unknown, or the images differ in size.
    """
    if net not in NETS:
        raise OptionError(f'calculate_lpips needs net to be alex or vgg, got {net!r}')
    return _distance(NETS[net], 'calculate_lpips', img, img2, crop_border, device)


@register(METRIC_REGISTRY)
def calculate_dists(img, img2, crop_border: Natural = 0, device: str = 'auto', **kwargs):
    """DISTS, the distance in structure and texture of deep features, by pyiqa (arXiv:2004.07728). Lower is better.

    It tolerates resampled texture, such as grass with other blades.

    Args:
        img, img2: images (H, W, 3), BGR, uint8; BasicSR's validation passes them.
        crop_border: number of pixels at each edge to ignore.
        device: such as ``cuda``; ``auto`` uses the GPU if there is one.

    Raises:
        OptionError: pyiqa is not installed, or the images differ in size.
    """
    return _distance('dists', 'calculate_dists', img, img2, crop_border, device)


@torch.no_grad()
def _distance(name, owner, img, img2, crop_border, device):
    if img.shape != img2.shape:
        raise OptionError(f'{owner} needs two images of one size, got {img.shape} and {img2.shape}')
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    metric = _metric(name, owner, device)
    return float(metric(*(_tensor(image, crop_border).to(device) for image in (img, img2))))


@functools.lru_cache
def _metric(name, owner, device):
    """The metric of pyiqa, which loads or downloads its weights when it is created."""
    try:
        import pyiqa
    except ModuleNotFoundError as error:
        if error.name != 'pyiqa':
            raise
        raise OptionError(
            f'{owner} needs the package pyiqa, which is not installed; pip install pyiqa, or remove the metric'
        ) from error
    # pyiqa may initialize random weights before it loads the trained ones.
    with torch.random.fork_rng():
        return pyiqa.create_metric(name, device=device)


def _tensor(image, crop_border):
    """An image (H, W, 3), BGR, uint8, without its border, as (1, 3, H, W), RGB in 0..1."""
    height, width = image.shape[:2]
    inner = image[crop_border : height - crop_border, crop_border : width - crop_border, ::-1]
    return torch.from_numpy(inner.copy()).permute(2, 0, 1)[None].float() / 255
