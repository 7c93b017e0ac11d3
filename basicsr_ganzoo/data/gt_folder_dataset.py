"""Ground truth alone, for models that make the low-quality pictures themselves."""

import logging
import os
import random

import cv2
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo.data.folder_dataset import FolderDataset, Required, positive_integer
from basicsr_ganzoo.data.measure import measure
from basicsr_ganzoo.data.picture import to_tensor
from basicsr_ganzoo.data.reader import Reader
from basicsr_ganzoo.data.sources import Picture, folders, meta_files, names_in_line, pictures_under, read_lines
from basicsr_ganzoo.degradations.kernels import KEYS, RandomKernels
from basicsr_ganzoo.registry import register


@register(DATASET_REGISTRY)
class GTFolderDataset(FolderDataset):
    """Pictures of a folder tree, and blur kernels to degrade them with (Real-ESRGAN, arXiv:2107.10833).

    The same crops and kernels as BasicSR's RealESRGANDataset for the same random state, but no meta file is needed,
    and every picture is checked before training starts. Grey and 16-bit pictures work; an alpha channel is dropped.
    A sample: ``gt`` (3, crop_pad_size, crop_pad_size), RGB in [0, 1]; ``kernel1``, ``kernel2``, ``sinc_kernel``
    (21, 21); ``gt_path``. Cutting to gt_size is the model's part, after the degradation.

    Options:
        dataroot_gt: a folder with pictures in it and in the folders in it, an .lmdb folder, or a list of folders.
        meta_info: a text file with one path relative to dataroot_gt in a line, where not every picture is wanted.
            Paths may have spaces; a second column is ignored. For a list of folders a list of files.
        gt_size: side in pixels of the crop that the model trains on.
        crop_pad_size: side of the crop that is degraded, at least gt_size; smaller pictures are mirrored at their
            right and lower edges.
        use_hflip, use_rot: flip left and right; flip up and down and turn by 90 degrees.
        degradation: a preset for the kernels: mild, medium or real. The keys of Real-ESRGAN's option files
            (blur_sigma, kernel_prob, sinc_prob, ...) go over it.
        dataset_enlarge_ratio: how often a picture comes in an epoch. Without this key an epoch has 300 batches or more.
        io_backend: BasicSR's mapping with a type: disk, lmdb or memcached. Without it, disk, or lmdb for .lmdb folders.
    """

    OPTIONS = {
        'dataroot_gt': Required('datasets/train/gt'),
        'meta_info': None,
        'gt_size': Required(256),
        'crop_pad_size': 400,
        'use_hflip': True,
        'use_rot': False,
        'degradation': 'real',
        **FolderDataset.OPTIONS,
        **dict.fromkeys((*KEYS, 'blur_kernel_size', 'blur_kernel_size2')),
    }

    def __init__(self, opt):
        super().__init__(opt)
        self.gt_size = positive_integer(self.opt, 'gt_size')
        self.buffer = max(positive_integer(self.opt, 'crop_pad_size'), self.gt_size)
        self.kernels = RandomKernels({key: value for key, value in self.opt.items() if value is not None})
        roots = folders(self.opt['dataroot_gt'], 'dataroot_gt')
        self.reader = Reader(self.opt['io_backend'], roots)
        for root, meta_info in zip(roots, meta_files(self.opt['meta_info'], roots), strict=True):
            self.items += _listed(root, meta_info) if meta_info else pictures_under(root).values()
        self._report_small(measure([(picture,) for picture in self.items])[1])
        self.enlarge()

    def sample(self, item):
        turns = random_turns(self.opt['use_hflip'], self.opt['use_rot'])
        gt = to_tensor(random_square(self.reader.undecoded(item), self.buffer, turns))
        return {'gt': gt, **self.kernels.draw(), 'gt_path': item.path}

    def _report_small(self, sizes):
        small = sum(min(size) < self.gt_size for (size,) in sizes)
        if small:
            logging.getLogger('basicsr').warning(
                f'{small} of {len(sizes)} pictures are smaller than gt_size {self.gt_size} and get mirrored edges'
            )


def _listed(root, meta_info):
    return [Picture(os.path.join(root, names_in_line(line)[0])) for line in read_lines(meta_info)]


def random_turns(hflip, rotation):
    """Whether to flip left and right, flip up and down, and swap both axes: the draws of BasicSR's ``augment``."""
    return tuple(wanted and random.random() < 0.5 for wanted in (hflip, rotation, rotation))


def turned(image, turns):
    """An image (H, W, 3) with the turns of :func:`random_turns`."""
    left_right, up_down, swapped = turns
    if left_right or up_down:
        image = cv2.flip(image, -1 if left_right and up_down else 1 if left_right else 0)
    return cv2.transpose(image) if swapped else image


def random_square(picture, side, turns):
    """A random square of a turned picture; where that is smaller, its right and lower edge are mirrored.

    Args:
        picture: an image (H, W, 3) or an :class:`~._rows.UndecodedPicture`, of which only the square is taken.
        side: of the square, in pixels.
        turns: of :func:`random_turns`.
    """
    if min(picture.shape[:2]) < side:
        down, right = (max(0, side - length) for length in picture.shape[:2])
        edges = [(more, 0) if turn else (0, more) for more, turn in ((down, turns[1]), (right, turns[0]))]
        picture = cv2.copyMakeBorder(picture[:], *edges[0], *edges[1], cv2.BORDER_REFLECT_101)
    rows, columns = picture.shape[:2]
    top, left = _draw_place((columns, rows) if turns[2] else (rows, columns), side)
    if turns[2]:
        top, left = left, top
    top, left = rows - side - top if turns[1] else top, columns - side - left if turns[0] else left
    return turned(picture[top : top + side, left : left + side], turns)


def _draw_place(size, side):
    return (0, 0) if size == (side, side) else tuple(random.randint(0, length - side) for length in size)
