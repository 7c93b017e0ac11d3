"""Strips of images that show what training changes: LQ, the generator's output at the start and now, and GT."""

from pathlib import Path

import cv2
import numpy as np
from basicsr.utils import imwrite, tensor2img

from basicsr_ganzoo.config.build import check_whole_number
from basicsr_ganzoo.engine.snapshot import Snapshot

SIDE = 480  # the largest side of an image of a strip in pixels of SR, so that nothing is scaled down
GAP, BAR = 6, 26  # pixels between images, and above them for their names


class Previews:
    """Writes a strip for each of the first validation images, as PNG to visualization/preview and to TensorBoard.

    The start is what the weights produce with which the run began, computed in the first validation. It is kept as a
    PNG file, from which a resumed run reads it; without the file, its start is what it resumed from. Images are cropped
    to their middle, :data:`SIDE` pixels at most, and never scaled down. The training is not affected.

    Args:
        count: images of each dataset.
        folder: where the strips go.
        net: the validated generator; a copy of its weights is held until the first validation is over.
        run: a function that gives the SR image of an LQ image and a network.
        resumed: whether an earlier part of the run may have left its starts.
    """

    def __init__(self, count, folder, net, run, resumed=False):
        self.count, self.folder, self.net, self.run, self.resumed = count, folder, net, run, resumed
        self.weights = {name: tensor.detach().to('cpu', copy=True) for name, tensor in net.state_dict().items()}
        self.first_iter, self.written = None, set()

    @classmethod
    def of(cls, opt, net, run):
        """Those that ``val.preview`` of the options requests, or None if it is 0 or absent.

        Raises:
            OptionError: it is no whole number.
        """
        count = (opt.get('val') or {}).get('preview') or 0
        check_whole_number('val.preview', 'the number of images', count, 0)
        if not count or opt.get('rank'):  # the first process validates alone
            return None
        folder = Path(opt['path']['visualization']) / 'preview'
        return cls(count, folder, net, run, bool(opt['path'].get('resume_state')))

    def write(self, data_set, name, visuals, iteration, tb_logger=None):
        """Write the strip of a validation image.

        Args:
            data_set: its name.
            name: that of the image, with its number: no two of a dataset have the same.
            visuals: ``lq``, ``result`` and perhaps ``gt``, images (1, C, H, W) on the CPU.
        """
        self.first_iter = iteration if self.first_iter is None else self.first_iter
        if iteration != self.first_iter:
            self.weights = None
        folder = self.folder / data_set
        result = _picture(visuals['result'])
        pictures = {'LQ': _enlarged(_picture(visuals['lq']), result.shape)}
        start = self._start(folder / f'{name}_start.png', visuals['lq'])
        if start is not None:
            pictures['start'] = start
        pictures[f'iteration {iteration}'] = _middle(result)
        if 'gt' in visuals and visuals['gt'].shape == visuals['result'].shape:
            pictures['GT'] = _middle(_picture(visuals['gt']))
        image = strip(pictures)
        imwrite(image, str(folder / f'{name}_{iteration}.png'))
        if tb_logger:
            tb_logger.add_image(f'preview/{data_set}/{name}', image[..., ::-1].copy(), iteration, dataformats='HWC')

    def _start(self, file, lq):
        """The start (H, W, 3): read from the file, or computed and written to it, or None if it is too late."""
        if (self.resumed or file in self.written) and file.is_file():
            return cv2.imread(str(file))
        if self.weights is None:
            return None
        current = Snapshot(self.net.state_dict().values())
        self.net.load_state_dict(self.weights)
        try:
            picture = _middle(_picture(self.run(self.net, lq)))
        finally:
            current.restore()
        imwrite(picture, str(file))
        self.written.add(file)
        return picture


def strip(pictures):
    """Images (h, w, 3), by the label above each, side by side in one (H, W, 3) on white."""
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
    """The middle of an image whose pixels are enlarged to squares."""
    return _middle(cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST))


def _middle(picture):
    top, left = (max(side - SIDE, 0) // 2 for side in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE]
