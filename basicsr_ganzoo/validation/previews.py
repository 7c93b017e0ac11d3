"""Strips of pictures that show what training does: LQ, what the generator made at the start and makes now, and GT."""

import contextlib
from pathlib import Path

import cv2
import numpy as np
import torch
from basicsr.utils import imwrite, tensor2img

from basicsr_ganzoo.config.build import check_whole_number

SIDE = 480  # pixels of SR that a picture of a strip has at most, so that nothing is reduced
GAP, BAR = 6, 26  # pixels between pictures, and above them for their names


class Previews:
    """Writes a strip for each of the first validation pictures, as PNG to visualization/preview and to TensorBoard.

    The start is what the weights make that the run began with, and is computed in the first validation. It is kept as a
    PNG file, from which a resumed run takes it; where there is none, its start is what it went on from. Pictures are
    cut to their middle, :data:`SIDE` pixels at most, and none is reduced. Nothing of it changes the training.

    Args:
        count: pictures of each data set.
        weights: the state dict of the validated generator; a copy of it is held until the first validation is over.
        resumed: whether strips of an earlier part of the run may be there.
    """

    def __init__(self, count, weights, resumed=False):
        self.count, self.resumed = count, resumed
        self.weights = {name: tensor.detach().to('cpu', copy=True) for name, tensor in weights.items()}
        self.first_iter, self.written = None, set()

    @classmethod
    def of(cls, model):
        """Those that ``val.preview`` asks for, or None if it is 0 or not there.

        Raises:
            OptionError: it is no whole number.
        """
        count = (model.opt.get('val') or {}).get('preview') or 0
        resumed = bool(model.opt['path'].get('resume_state'))
        check_whole_number('val.preview', 'the number of pictures', count, 0)
        if not count or model.opt.get('rank'):  # the first process validates alone
            return None
        return cls(count, model.validated_net().state_dict(), resumed)

    def take(self, model, data_set, name, visuals, iteration, tb_logger=None):
        """Write the strip of a validation picture.

        Args:
            model: whose generator has the weights that ``result`` is of.
            data_set: its name.
            name: that of the picture, with its number: no two of a data set have the same.
            visuals: ``lq``, ``result`` and perhaps ``gt``, images (1, C, H, W) on the CPU.
        """
        self.first_iter = iteration if self.first_iter is None else self.first_iter
        if iteration != self.first_iter:
            self.weights = None
        folder = Path(model.opt['path']['visualization']) / 'preview' / data_set
        result = _picture(visuals['result'])
        pictures = {'LQ': _enlarged(_picture(visuals['lq']), result.shape)}
        start = self._start(model, folder / f'{name}_start.png', visuals['lq'])
        if start is not None:
            pictures['start'] = start
        pictures[f'iteration {iteration}'] = _middle(result)
        if 'gt' in visuals and visuals['gt'].shape == visuals['result'].shape:
            pictures['GT'] = _middle(_picture(visuals['gt']))
        image = strip(pictures)
        imwrite(image, str(folder / f'{name}_{iteration}.png'))
        if tb_logger:
            tb_logger.add_image(f'preview/{data_set}/{name}', image[..., ::-1].copy(), iteration, dataformats='HWC')

    def _start(self, model, file, lq):
        """The picture (H, W, 3) of the start: the file's, or made and written to it, or None if it is too late."""
        if (self.resumed or file in self.written) and file.is_file():
            return cv2.imread(str(file))
        if self.weights is None:
            return None
        net = model.validated_net()
        with _weights_of(net, self.weights):
            picture = _middle(_picture(model.in_tiles(net, lq.to(model.device))))
        imwrite(picture, str(file))
        self.written.add(file)
        return picture


@contextlib.contextmanager
@torch.no_grad()
def _weights_of(net, weights):
    """Lend a network other weights."""
    own = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(weights)
    try:
        yield
    finally:
        net.load_state_dict(own)


def strip(pictures):
    """Pictures (h, w, 3), by what to write above them, side by side in one (H, W, 3) on white."""
    height = max(picture.shape[0] for picture in pictures.values())
    columns = []
    for label, picture in pictures.items():
        rows, width = picture.shape[:2]
        column = np.full((BAR + height, width + GAP, 3), 255, np.uint8)
        column[BAR : BAR + rows, :width] = picture
        cv2.putText(column, label, (2, BAR - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        columns.append(column)
    return np.concatenate(columns, axis=1)[:, :-GAP]


def _picture(image):
    """An image (1, C, H, W) in 0..1 as (H, W, 3) BGR in 8 bits."""
    picture = tensor2img([image.cpu()])
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture


def _enlarged(picture, shape):
    """The middle of a picture after each of its pixels has become a square: what there is to see in LQ."""
    return _middle(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST))


def _middle(picture):
    top, left = (max(side - SIDE, 0) // 2 for side in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE]
