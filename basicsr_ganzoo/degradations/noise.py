"""BasicSR's random noise without a device synchronization."""

import torch
from basicsr.data.degradations import rgb_to_grayscale


def add_gaussian_noise(image, sigma_range, gray_prob):
    """Add Gaussian noise, as BasicSR's ``random_add_gaussian_noise_pt`` does with ``clip``.

    Args:
        image: images (N, 3, H, W) in 0..1.
        sigma_range: bounds of the standard deviation of an image's noise, in 1/255.
        gray_prob: probability that an image's noise is grey.
    """
    sigma, gray = _draw(image, sigma_range, gray_prob)
    with_gray = _some(gray)
    if with_gray:
        noise_gray = torch.randn(image.shape[2:], dtype=image.dtype, device=image.device) * sigma / 255.0
    noise = torch.randn(image.shape, dtype=image.dtype, device=image.device) * sigma / 255.0
    if with_gray:
        noise = noise * (1 - gray) + noise_gray * gray
    return (image + noise).clamp(0, 1)


def add_poisson_noise(image, scale_range, gray_prob):
    """Add Poisson noise, as BasicSR's ``random_add_poisson_noise_pt`` does with ``clip``.

    Args:
        image: images (N, 3, H, W) in 0..1.
        scale_range: bounds of the factor of an image's noise.
        gray_prob: probability that an image's noise is grey.
    """
    scale, gray = _draw(image, scale_range, gray_prob)
    with_gray = _some(gray)
    if with_gray:
        noise_gray = _poisson(rgb_to_grayscale(image, num_output_channels=1))
    noise = _poisson(image)
    if with_gray:
        noise = noise * (1 - gray) + noise_gray * gray
    return (image + noise * scale).clamp(0, 1)


def _draw(image, bounds, gray_prob):
    low, high = bounds
    strength, coin = (torch.rand(len(image), dtype=image.dtype, device=image.device) for _ in range(2))
    gray = (coin < gray_prob).float()
    return (strength * (high - low) + low).view(-1, 1, 1, 1), gray.view(-1, 1, 1, 1)


def _some(gray):
    """Whether grey noise is drawn: on a CPU if an image needs it, as in BasicSR; on a GPU always, without a sync."""
    return gray.device.type != 'cpu' or bool(gray.any())


def _poisson(image):
    """Poisson noise. The levels of an image are the number of its distinct values, rounded up to a power of 2."""
    levels = (image * 255.0).round().clamp(0, 255)
    image, counts = levels / 255.0, _power_of_2_from(_distinct(levels)).to(image).view(-1, 1, 1, 1)
    return torch.poisson(image * counts) / counts - image


def _distinct(levels):
    """The number of distinct 8-bit values in each image: (N,)."""
    seen = levels.new_zeros(len(levels), 256)
    return seen.scatter_(1, levels.long().flatten(1), 1.0).sum(dim=1)


def _power_of_2_from(counts):
    """The smallest power of 2 that is at least each of ``counts``, (N,), which are at most 256."""
    powers = 1 << torch.arange(9, device=counts.device)
    return 1 << (counts[:, None] > powers).sum(dim=1)
