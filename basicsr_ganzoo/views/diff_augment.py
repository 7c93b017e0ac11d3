"""DiffAugment view: random differentiable augmentation, so that D cannot memorize a small dataset."""

from dataclasses import dataclass

import torch
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo.config.signature import checked
from basicsr_ganzoo.config.types import Number, Share
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.views._filters import mirrored
from basicsr_ganzoo.views.base import View


@dataclass(frozen=True)
class Drawn:
    """The random parameters of ``DiffAugmentView`` for a batch, per sample."""

    rows: torch.Tensor  # (N, 1, H, 1): source row of each row
    columns: torch.Tensor  # (N, 1, 1, W)
    transposed: torch.Tensor  # (N, 1, 1, 1), bool
    hole: torch.Tensor  # (N, 1, H, W), bool
    brightness: torch.Tensor  # (N, 1, 1, 1), a summand
    saturation: torch.Tensor  # (N, 1, 1, 1), a factor, as contrast
    contrast: torch.Tensor


@register(ARCH_REGISTRY)
class DiffAugmentView(View):
    """Differentiable augmentation (DiffAugment, Zhao et al. 2020, arXiv:2006.10738), alike for real i and fake i.

    Each sample has its own random parameters. Differs from the official code: colour is off, because D would no longer
    see a colour shift of G, which users of SR models report; flips are added; a shifted image is extended by mirroring,
    not with grey; colours are in units of an image in 0 to 1.

    Args:
        probability: of each augmentation of each sample, 0 to 1; 0 leaves the image bit-equal. It may change in
            training.
        translation: largest shift along each axis, as a fraction of the side, 0 to 1; the paper has 1/8.
        cutout: side of the hole, as a fraction of the image side, 0 to 1; its centre is uniform over the image, so part
            of the hole may be outside; the paper has 1/2. 0 for none.
        flips: left-right, up-down and, if H = W, transposition: together all 8 orientations of a square.
        colour: 0 to 1; 1 is the paper: brightness +- 0.25, saturation times 0 to 2, contrast times 0.5 to 1.5.
        fill: value in the hole; 0.5 is the paper's middle grey. Use 0 after a view whose mean is 0.

    Shape: (N, C, H, W) -> the same, any size.

    Range: that of the image and ``fill``; ``colour`` can exceed it. On photographs (100 of BSDS500, RGB in 0 to 1
    with a standard deviation of 0.246) the standard deviation is 0.226; a fifth of the pixels is in the hole.

    Cost: copies of the image, no multiply-adds; FlopCounter counts 0.
    """

    @checked
    def __init__(
        self,
        probability: Share = 1.0,
        translation: Share = 0.125,
        cutout: Share = 0.5,
        flips: bool = True,
        colour: Share = 0.0,
        fill: Number = 0.5,
    ):
        super().__init__()
        self.probability, self.translation, self.cutout = probability, translation, cutout
        self.flips, self.colour, self.fill = flips, colour, fill

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
        """The source index of each pixel along an axis, after a flip and a shift: (N, size)."""
        shift = (self._uniform(image) * self.translation * size).round().long() * self._chosen(image)
        index = mirrored(torch.arange(size, device=image.device) + shift, size)
        return torch.where(self._half(image) & self.flips, size - 1 - index, index)

    def _span(self, image, size):
        """Which positions along an axis are in the hole: (N, size), bool."""
        side = round(self.cutout * size)
        centre = (self._rand(image) * size).long()
        offset = torch.arange(size, device=image.device) - centre + side // 2
        return (offset >= 0) & (offset < side)

    def _factor(self, image, reach):
        """A factor from 1 - reach to 1 + reach, scaled by ``colour``; 1 for samples that are not chosen."""
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
