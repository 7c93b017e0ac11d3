"""Bands of a wavelet transform."""

import math

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch.nn import functional as F

from basicsr_ganzoo.config.build import check_choice, check_number, check_whole_number
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.views._filters import correlate, mirror
from basicsr_ganzoo.views.base import View

#: Scaling filters (low-pass, sum sqrt(2)) of Daubechies, Ten Lectures on Wavelets, 1992, Tables 6.1 and 6.3. They were
#: computed to 60 digits by spectral factorization: all zeros inside the unit circle for db, for sym those with the
#: phase nearest to a linear one.
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
    """The orthonormal low-pass and high-pass filter of a name of :data:`SCALING`."""
    low = SCALING[wavelet]
    return {'L': low, 'H': [(-1) ** t * tap for t, tap in enumerate(reversed(low))]}


def luma(image):
    """Y of BT.601 in studio range, 16 / 255 to 235 / 255, as BasicSR's ``rgb2ycbcr``: (N, 3, H, W) -> (N, 1, H, W)."""
    red, green, blue = image.split(1, dim=1)
    return (65.481 * red + 128.553 * green + 24.966 * blue + 16) / 255


@register(ARCH_REGISTRY)
class WaveletView(View):
    """Bands of a stationary or decimated wavelet transform (WGSR, Korkmaz et al. 2024, arXiv:2402.19215).

    The defaults are the bands on which WGSR's discriminator works. Differs from it by the scale: here low-pass and
    high-pass have the same norm, so that all bands together have the energy of the image, stationary or not. In WGSR,
    LH and HL are 255 * sqrt(2) = 361 and HH is 510 times as large.

    Args:
        wavelet: ``haar``, ``db2``, ``db4``, ``sym4``, ``sym7``.
        level: how often the low-pass band is split again, 1 to 8; the detail bands of all levels are shown, finest
            first.
        stationary: every band has the size of the image, and a shifted image has shifted bands. ``false`` halves the
            size with each level, to ceil(size / 2 ** level), and packs finer bands, as ``F.pixel_unshuffle`` does, to
            the size of the coarsest.
        bands: which to show, in this order: ``LH`` (low-pass along x, high-pass along y: horizontal edges), ``HL``,
            ``HH``, and ``LL``, which is shown of the last level only.
        luma: show the bands of BT.601's Y (range 16 / 255 to 235 / 255) instead of each channel's; needs RGB.
        gain: factor of the result.

    Shape: (N, C, H, W) -> (N, ``network_d.num_in_ch``, h, w), that is C (luma: 1) times the number of ``bands``, at
    more levels times the detail bands of them all. Any size if stationary, else H and W >= 2 ** level. Borders are
    mirrored.

    Range: the detail bands have a mean of 0. On photographs (100 of BSDS500, RGB in 0 to 1 with a standard deviation of
    0.246) the standard deviation of LH, HL, HH is 0.024, 0.022, 0.012 with the defaults and 0.028, 0.026, 0.017 at the
    second level; 1.2 times this for ``luma: false`` or haar, 2 times this for ``stationary: false``; largest values are
    20 times as large. ``gain: 12`` brings the defaults about to RGB, ``gain: 361`` to WGSR's scale.

    Cost: 70 multiply-adds a value and level for sym7, 10 for haar; element-wise, so FlopCounter counts 0. On a
    CPU 0.3 % of the time of ``UNetSNDiscriminator``, forward and backward, with the defaults.
    """

    def __init__(self, wavelet='sym7', level=1, stationary=True, bands=('LH', 'HL', 'HH'), luma=True, gain=1.0):
        super().__init__()
        check_choice('WaveletView', 'wavelet', wavelet, SCALING)
        check_whole_number('WaveletView', 'level', level)
        check_number('WaveletView', 'level', level, 1, 8)
        check_number('WaveletView', 'gain', gain)
        for name, value in (('stationary', stationary), ('luma', luma)):
            check_choice('WaveletView', name, value, (False, True))
        if not isinstance(bands, (list, tuple)):
            raise ValueError(f'WaveletView needs bands to be a list, such as [LH, HL, HH], got {bands!r}')
        for band in bands:
            check_choice('WaveletView', 'bands', band, BANDS)
        if not bands or len(set(bands)) < len(bands):
            raise ValueError(f'WaveletView needs bands to name each band once, got {list(bands)}')
        self.level, self.stationary, self.bands, self.luma, self.gain = level, stationary, tuple(bands), luma, gain
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
        """The ``bands`` into which the LL band of the level before, ``image``, is split."""
        steps = {'dilation': 2 ** (level - 1)} if self.stationary else {'stride': 2}
        along_x = {key: correlate(image, self.filters[key], 3, **steps) for key in {band[0] for band in bands}}
        return {band: correlate(along_x[band[0]], self.filters[band[1]], 2, **steps) for band in bands}

    def _levels(self):
        return range(1, self.level + 1)

    def _on_last_grid(self, band, level):
        return F.pixel_unshuffle(band, 2 ** (self.level - level))
