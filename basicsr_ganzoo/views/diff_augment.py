"""Random changes of what D sees, so that it cannot learn few pictures by heart."""

from dataclasses import dataclass

import torch
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo.config.build import check_choice, check_number
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.views._filters import mirrored
from basicsr_ganzoo.views.base import View


@dataclass(frozen=True)
class Drawn:
    """What ``DiffAugmentView`` drew for a batch, sample by sample."""

    rows: torch.Tensor  # (N, 1, H, 1): which row comes where
    columns: torch.Tensor  # (N, 1, 1, W)
    transposed: torch.Tensor  # (N, 1, 1, 1), bool
    hole: torch.Tensor  # (N, 1, H, W), bool
    brightness: torch.Tensor  # (N, 1, 1, 1), a summand
    saturation: torch.Tensor  # (N, 1, 1, 1), a factor, as contrast
    contrast: torch.Tensor


@register(ARCH_REGISTRY)
class DiffAugmentView(View):
    """Differentiable augmentation (DiffAugment, Zhao et al. 2020, arXiv:2006.10738), alike for real i and fake i.

    Each sample has its own random parameters. Differs from the official code: colour is off, since D would no longer
    see a colour drift of G, the fault that users of SR report; flips are added; a shifted image is continued by
    mirroring instead of grey; colours are in units of an image in 0 to 1.

    Args:
        probability: of each change of each sample, 0 to 1; 0 is the plain image, bit by bit. It may change in training.
        translation: largest shift along each axis, as a part of the side; the paper has 1/8.
        cutout: side of the hole, as a part of the side of the image; its centre lies anywhere, so that a part may be
            outside; the paper has 1/2. 0 for none.
        flips: left-right, up-down and, if H = W, transposition: together all 8 orientations of a square.
        colour: 0 to 1; 1 is the paper: brightness +- 0.25, saturation times 0 to 2, contrast times 0.5 to 1.5.
        fill: value in the hole; 0.5 is the paper's middle grey. Use 0 behind a view whose mean is 0.

    Shape: (N, C, H, W) -> the same, any size.

    Range: that of the image and ``fill``, with ``colour`` beyond it. On photographs (100 of BSDS500, RGB in 0 to 1
    with a standard deviation of 0.246) the standard deviation is 0.226; a fifth of the pixels lies in the hole.

    Cost: copies of the image, no multiply-adds; FlopCounter counts 0.
    """

    def __init__(self, probability=1.0, translation=0.125, cutout=0.5, flips=True, colour=0.0, fill=0.5):
        super().__init__()
        for name, value in (
            ('probability', probability),
            ('translation', translation),
            ('cutout', cutout),
            ('colour', colour),
        ):
            check_number('DiffAugmentView', name, value, least=0, most=1)
        check_number('DiffAugmentView', 'fill', fill)
        check_choice('DiffAugmentView', 'flips', flips, (False, True))
        self.probability, self.translation, self.cutout = probability, translation, cutout
        self.flips, self.colour, self.fill = bool(flips), colour, fill

    def draw(self, image):
        if self.probability == 0:
            return None
        height, width = image.shape[2:]
        rows, columns = self._source(image, height), self._source(image, width)
        hole = self._span(image, height).view(-1, 1, height, 1) & self._span(image, width).view(-1, 1, 1, width)
        return Drawn(
            rows=rows.view(-1, 1, height, 1),
            columns=columns.view(-1, 1, 1, width),
            transposed=self._half(image).view(-1, 1, 1, 1),
            hole=hole & self._chosen(image).view(-1, 1, 1, 1),
            brightness=self._factor(image, 0.25) - 1,
            saturation=self._factor(image, 1),
            contrast=self._factor(image, 0.5),
        )

    def transform(self, image, drawn):
        if drawn is None:
            return image
        if self.colour:
            image = change_colour(image, drawn)
        if self.flips and image.shape[2] == image.shape[3]:
            image = torch.where(drawn.transposed, image.mT, image)
        image = image.gather(2, drawn.rows.expand_as(image)).gather(3, drawn.columns.expand_as(image))
        return torch.where(drawn.hole, self.fill, image)

    def _source(self, image, size):
        """For each place along an axis, the place whose pixel comes there, after a flip and a shift: (N, size)."""
        shift = (self._uniform(image) * self.translation * size).round().long() * self._chosen(image)
        index = mirrored(torch.arange(size, device=image.device) + shift, size)
        return torch.where(self._half(image) & self.flips, size - 1 - index, index)

    def _span(self, image, size):
        """Which places along an axis lie in the hole: (N, size), bool."""
        side = round(self.cutout * size)
        centre = (self._rand(image) * size).long()
        offset = torch.arange(size, device=image.device) - centre + side // 2
        return (offset >= 0) & (offset < side)

    def _factor(self, image, reach):
        """A factor from 1 - reach to 1 + reach, nearer to 1 for less ``colour``, and 1 where not chosen."""
        factor = 1 + self._uniform(image) * self._chosen(image) * (reach * self.colour)
        return factor.view(-1, 1, 1, 1)

    def _chosen(self, image):
        return self._rand(image) < self.probability

    def _half(self, image):
        return self._chosen(image) & (self._rand(image) < 0.5)

    def _uniform(self, image):
        return self._rand(image) * 2 - 1

    def _rand(self, image):
        return torch.rand(len(image), 1, generator=self.generator, device=image.device)


def change_colour(image, drawn):
    """Brightness, then saturation (distance from the pixel's grey), then contrast (distance from the mean grey)."""
    image = image + drawn.brightness
    image = scale_around(image.mean(1, keepdim=True), image, drawn.saturation)
    return scale_around(image.mean((1, 2, 3), keepdim=True), image, drawn.contrast)


def scale_around(centre, image, factor):
    """``centre + (image - centre) * factor``, exactly ``image`` where the factor is 1."""
    return torch.lerp(centre.expand_as(image), image, factor.to(image.dtype).expand_as(image))
