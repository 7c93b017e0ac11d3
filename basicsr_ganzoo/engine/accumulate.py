"""Gradient accumulation: a batch as several smaller ones, whose gradients and numbers are those of the batch."""

import torch

from basicsr_ganzoo.errors import OptionError

PICTURES = ('lq', 'gt', 'gt_usm')


def micro_batches(model, count):
    """Let ``model`` hold ``count`` parts of its pictures, one after the other; yields 0, 1, ... and puts them back.

    Raises:
        OptionError: the batch cannot be parted so.
    """
    if count == 1:
        yield 0
        return
    whole = {name: getattr(model, name) for name in PICTURES if hasattr(model, name)}
    size = len(whole['lq'])
    if size % count:
        raise OptionError(
            f'train.accumulate: a batch of {size} cannot be parted into {count} of one size; '
            'take a number that divides datasets.train.batch_size_per_gpu'
        )
    parts = {name: pictures.chunk(count) for name, pictures in whole.items()}
    try:
        for index in range(count):
            for name in whole:
                setattr(model, name, parts[name][index])
            yield index
    finally:
        for name, pictures in whole.items():
            setattr(model, name, pictures)


def combine(logs):
    """The numbers of a batch from those of its parts: means, the largest logit, and norms of gradients at all images.

    A gradient at the images of a part is ``len(logs)`` times as large as in the batch, whose loss is the mean.
    """
    if len(logs) == 1:
        return logs[0]
    combined = type(logs[0])()
    for name in logs[0]:
        values = torch.stack([log[name] for log in logs])
        if name.startswith('grad_'):
            combined[name] = values.norm() / len(logs)
        else:
            combined[name] = values.max() if name.startswith('max_logit') else values.mean()
    return combined
