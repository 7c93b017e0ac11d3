"""Distances between deep features, by pyiqa if the user has installed it; nothing imports it before that."""

import functools

import torch
from basicsr.utils.registry import METRIC_REGISTRY

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register


@register(METRIC_REGISTRY)
def calculate_lpips(img, img2, crop_border=0, net='alex', device='auto', **kwargs):
    """LPIPS: how far the features of two pictures are apart, by pyiqa (arXiv:1801.03924); lower is better.

    Args:
        img, img2: pictures (H, W, 3), BGR in 8 bits; BasicSR's validation gives them.
        crop_border: pixels at each edge that do not count.
        net: ``alex``, as in most papers, or ``vgg``.
        device: ``auto`` takes the GPU if there is one.

    Raises:
        OptionError: pyiqa is not installed, or ``net`` is none of these.
    """
    names = {'alex': 'lpips', 'vgg': 'lpips-vgg'}
    if net not in names:
        raise OptionError(f'calculate_lpips needs net to be alex or vgg, got {net!r}')
    return _distance(names[net], 'calculate_lpips', img, img2, crop_border, device)


@register(METRIC_REGISTRY)
def calculate_dists(img, img2, crop_border=0, device='auto', **kwargs):
    """DISTS: likeness of the features' structure and texture, by pyiqa (arXiv:2004.07728); lower is better.

    Forgives texture that is not in its place, such as grass with other blades.

    Args:
        img, img2: pictures (H, W, 3), BGR in 8 bits; BasicSR's validation gives them.
        crop_border: pixels at each edge that do not count.
        device: ``auto`` takes the GPU if there is one.

    Raises:
        OptionError: pyiqa is not installed.
    """
    return _distance('dists', 'calculate_dists', img, img2, crop_border, device)


@torch.no_grad()
def _distance(name, owner, img, img2, crop_border, device):
    if img.shape != img2.shape:
        raise OptionError(f'{owner} needs two pictures of one size, got {img.shape} and {img2.shape}')
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    metric = _metric(name, owner, device)
    return float(metric(*(_tensor(picture, crop_border).to(device) for picture in (img, img2))))


@functools.lru_cache
def _metric(name, owner, device):
    """The metric of pyiqa, which reads its weights, or fetches them, when it is made."""
    try:
        import pyiqa
    except ModuleNotFoundError as error:
        if error.name != 'pyiqa':
            raise
        raise OptionError(
            f'{owner} needs the package pyiqa, which is not installed; pip install pyiqa, or remove the metric'
        ) from error
    # In the making, pyiqa may draw random weights that it then replaces.
    with torch.random.fork_rng():
        return pyiqa.create_metric(name, device=device)


def _tensor(picture, crop_border):
    """(H, W, 3) BGR in 8 bits as (1, 3, H, W) RGB in 0..1 without its border."""
    height, width = picture.shape[:2]
    inner = picture[crop_border : height - crop_border, crop_border : width - crop_border, ::-1]
    return torch.from_numpy(inner.copy()).permute(2, 0, 1)[None].float() / 255
