"""Wavelet view: bands of a stationary or decimated wavelet transform of the image."""

import math
from typing import Annotated, Literal

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from pydantic import Field
from torch.nn import functional as F

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Count, Number
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.views._filters import correlate, mirror
from basicsr_ganzoo.views.base import View

#: Scaling filters (low-pass, sum sqrt(2)) of Daubechies, Ten Lectures on Wavelets, 1992, Tables 6.1 and 6.3. They were
#: computed to 60 digits by spectral factorization: all zeros inside the unit circle for db, and for sym those whose
#: phase is closest to linear.
SCALING = {
    'haar': [math.sqrt(0.5), math.sqrt(0.5)],
    'db2': [0.48296291314453414, 0.83651630373780791, 0.22414386804201338, -0.12940952255126038],
    'db4': [
        *(0.2303778133088965, 0.71484657055291565, 0.63088076792985891, -0.027983769416859854),
        *(-0.18703481171909308, 0.030841381835560764, 0.0328830116668852, -0.010597401785069032),
    ],
    'sym4': [
        *(0.032223100604051468, -0.012603967262031304, -0.099219543576633533, 0.29785779560530605),
        *(0.80373875180513208, 0.49761866763277499, -0.029635527646002492, -0.075765714789502213),
    ],
    'sym7': [
        *(0.010268176708464816, 0.0040102448715223952, -0.10780823770328971, -0.14004724044293365),
        *(0.28862963175064787, 0.76776431700488293, 0.53610191709056923, 0.017441255086835707),
        *(-0.049552834937042832, 0.067892693501220565, 0.030515513165877886, -0.012636303403240567),
        *(-0.0010473848886797381, 0.002681814568260147),
    ],
}
BANDS = ('LL', 'LH', 'HL', 'HH')


def wavelet_filters(wavelet):
    """The orthonormal low-pass (L) and high-pass (H) filter of a wavelet of :data:`SCALING`."""
    low = SCALING[wavelet]
    return {'L': low, 'H': [(-1) ** t * tap for t, tap in enumerate(reversed(low))]}


def luma(image):
    """Y of BT.601 in studio range, 16 / 255 to 235 / 255, as BasicSR's ``rgb2ycbcr``: (N, 3, H, W) -> (N, 1, H, W)."""
    red, green, blue = image.split(1, dim=1)
    return (65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255


@register(ARCH_REGISTRY)
class WaveletView(View):
    """Bands of a stationary or decimated wavelet transform (WGSR, Korkmaz et al. 2024, arXiv:2402.19215).

    The defaults are the bands that WGSR's discriminator sees. Differs from it by the scale: here low-pass and high-pass
    have the same norm, so that all bands together have the energy of the image, stationary or not. In WGSR,
    LH and HL are 255 * sqrt(2) = 361 and HH is 510 times as large.

    Args:
        wavelet: ``haar``, ``db2``, ``db4``, ``sym4``, ``sym7``.
        level: number of decompositions, 1 to 8, each of the low-pass band of the one before; the result has the detail
            bands of all levels, finest first.
        stationary: every band has the size of the image, and a shifted image gives shifted bands. ``false`` halves the
            size at each level, to ceil(size / 2 ** level), and packs the finer bands into the size of the coarsest, as
            ``F.pixel_unshuffle`` does.
        bands: the bands of the result, in this order: ``LH`` (low-pass along x, high-pass along y: horizontal edges),
            ``HL``, ``HH``, and ``LL``, which is taken from the last level only.
        luma: transform BT.601's Y (range 16 / 255 to 235 / 255) instead of each channel; requires RGB.
        gain: factor of the result.

    Shape: (N, C, H, W) -> (N, ``network_d.num_in_ch``, h, w). The number of channels is C (luma: 1) times the number of
    ``bands``, counting detail bands once per level. Any size if stationary, else H and W >= 2 ** level. Borders are
    mirrored.

    Range: the detail bands have a mean of 0. On photographs (100 of BSDS500, RGB in 0 to 1 with a standard deviation of
    0.246) the standard deviation of LH, HL, HH is 0.024, 0.022, 0.012 with the defaults and 0.028, 0.026, 0.017 at the
    second level; 1.2 times this for ``luma: false`` or haar, 2 times this for ``stationary: false``; the largest
    values are 20 times as large. ``gain: 12`` scales the defaults to about that of RGB, ``gain: 361`` to WGSR's.

    Cost: 70 multiply-adds per value and level for sym7, 10 for haar; element-wise, so FlopCounter counts 0. On a
    CPU 0.3 % of the time of ``UNetSNDiscriminator``, forward and backward, with the defaults.
    """

    @checked
    def __init__(
        self,
        wavelet: Literal[tuple(SCALING)] = 'sym7',
        level: Annotated[Count, Field(le=8)] = 1,
        stationary: bool = True,
        bands: tuple[Literal[BANDS], ...] = ('LH', 'HL', 'HH'),
        luma: bool = True,
        gain: Number = 1.0,
    ):
        super().__init__()
        if not bands or len(set(bands)) < len(bands):
            raise ValueError(f'WaveletView needs bands to name each band once, got {list(bands)}')
        self.level, self.stationary, self.bands, self.luma, self.gain = level, stationary, bands, luma, gain
        self.min_size = 1 if stationary else 2**level
        scale = math.sqrt(0.5) if stationary else 1
        self.filters = {key: [scale * tap for tap in taps] for key, taps in wavelet_filters(wavelet).items()}

    def out_channels(self, num_in_ch):
        if self.luma and num_in_ch != 3:
            raise OptionError(f'WaveletView with luma: true needs an RGB image, got {num_in_ch} channels')
        per_level = [1 if self.stationary else 4 ** (self.level - level) for level in self._levels()]
        details = sum(band != 'LL' for band in self.bands)
        return (1 if self.luma else num_in_ch) * (details * sum(per_level) + ('LL' in self.bands))

    def transform(self, image, drawn):
        low = luma(image) if self.luma else image
        if not self.stationary:
            for dim in (2, 3):
                low = mirror(low, dim, 0, -low.shape[dim] % 2**self.level)
        shown = []
        for level in self._levels():
            last = level == self.level
            kept = [band for band in self.bands if last or band != 'LL']
            found = self.split(low, level, kept if last else [*kept, 'LL'])
            shown += [found[band] if self.stationary else self._on_last_grid(found[band], level) for band in kept]
            low = found.get('LL')
        return self.gain * torch.cat(shown, dim=1)

    def split(self, image, level, bands):
        """Decompose ``image``, the LL band of the previous level, into ``bands``: a dict from name to band."""
        steps = {'dilation': 2 ** (level - 1)} if self.stationary else {'stride': 2}
        along_x = {key: correlate(image, self.filters[key], 3, **steps) for key in {band[0] for band in bands}}
        return {band: correlate(along_x[band[0]], self.filters[band[1]], 2, **steps) for band in bands}

    def _levels(self):
        return range(1, self.level + 1)

    def _on_last_grid(self, band, level):
        return F.pixel_unshuffle(band, 2 ** (self.level - level))
