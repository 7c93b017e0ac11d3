"""What goes into a training step, and what comes out of it."""

from dataclasses import dataclass, field, fields

import torch

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.pairing import mean_over_ranks


@dataclass(frozen=True)
class Batch:
    """The images of a step, each (N, C, H, W).

    ``gt_pix``, ``gt_percep`` and ``gt_gan`` are what the pixel loss, the perceptual loss and the discriminators compare
    with: ``gt``, or a sharpened version of it.
    """

    lq: torch.Tensor
    gt: torch.Tensor
    gt_pix: torch.Tensor
    gt_percep: torch.Tensor
    gt_gan: torch.Tensor

    def split(self, count):
        """A list of ``count`` smaller batches of equal size.

        Raises:
            OptionError: ``count`` does not divide the batch size.
        """
        if count == 1:
            return [self]
        size = len(self.lq)
        if size % count:
            raise OptionError(
                f'train.accumulate: a batch of {size} cannot be split into {count} parts of equal size; '
                'use a number that divides datasets.train.batch_size_per_gpu'
            )
        parts = (getattr(self, images.name).chunk(count) for images in fields(self))
        return [Batch(*part) for part in zip(*parts, strict=True)]


@dataclass(frozen=True)
class StepResult:
    """What losses give: the gradient of their sum at the SR image (None without one), and 0-dim metrics by name."""

    gradient: torch.Tensor | None = None
    metrics: dict = field(default_factory=dict)


def combine(parts):
    """The metrics of a batch from those of its equal parts: means, the largest logit, and norms over all images.

    A gradient at the images of a part is ``len(parts)`` times as large as in the batch, whose loss is the mean.
    """
    if len(parts) == 1:
        return parts[0]
    combined = {}
    for name in parts[0]:
        values = torch.stack([part[name] for part in parts])
        if name.startswith('grad_'):
            combined[name] = values.norm() / len(parts)
        else:
            combined[name] = values.max() if name.startswith('max_logit') else values.mean()
    return combined


def read_metrics(metrics):
    """Average 0-dim tensors by name over the ranks and read them as floats; the only time a step waits for the GPU."""
    stacked = mean_over_ranks(torch.stack([value.detach().float() for value in metrics.values()]))
    return dict(zip(metrics, stacked.tolist(), strict=True))
