"""One-dimensional filters for the views.

They use shifts and additions, not a convolution: TF32, which GPUs use for convolutions, and autocast round an image of
0.5 by 1e-4 to 1e-3, and a high-pass filter would show D this rounding error.
"""

import torch


def mirrored(index, size):
    """Map any indices into 0 to ``size`` - 1 by reflection with a repeated border: c b a|a b c|c b a."""
    index = index % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def mirror(image, dim, before, after):
    """Extend along ``dim`` by reflection, by any number of pixels, even more than the image has."""
    size = image.shape[dim]
    index = torch.arange(-before, size + after, device=image.device)
    return image.index_select(dim, mirrored(index, size))


def correlate(image, taps, dim, dilation=1, stride=1):
    """``sum_t taps[t] * image[stride * i + dilation * t - c]`` along ``dim``, with mirrored borders, centred.

    The size of the result is that of the image divided by ``stride``, of which it must be a multiple.
    """
    reach = (len(taps) - 1) * dilation
    extra = reach - (stride - 1)
    padded = mirror(image, dim, extra // 2, extra - extra // 2)
    length = padded.shape[dim] - reach
    every = tuple(slice(None, None, stride if axis == dim else None) for axis in range(image.ndim))
    shifted = (padded.narrow(dim, t * dilation, length)[every] for t in range(len(taps)))
    result = taps[0] * next(shifted)
    for tap, part in zip(taps[1:], shifted, strict=True):
        result = result.add(part, alpha=tap)
    return result
