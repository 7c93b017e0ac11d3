"""Dataset of ground truth alone, for models that synthesize LQ themselves."""

import logging
import os
import random

import cv2
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo.data.folder_dataset import FolderDataset, Required, positive_integer
from basicsr_ganzoo.data.measure import measure
from basicsr_ganzoo.data.picture import to_tensor
from basicsr_ganzoo.data.reader import Reader
from basicsr_ganzoo.data.sources import LazyImage, folders, meta_files, names_in_line, pictures_under, read_lines
from basicsr_ganzoo.degradations import RandomKernels
from basicsr_ganzoo.degradations.kernels import KEYS
from basicsr_ganzoo.registry import register


@register(DATASET_REGISTRY)
class GTFolderDataset(FolderDataset):
    """Images of a folder tree, with random blur kernels to degrade them (Real-ESRGAN, arXiv:2107.10833).

    Crops and kernels equal those of BasicSR's RealESRGANDataset for the same random state. Differs from it: needs no
    meta file, checks every image before training starts, and reads grey and 16-bit images. Alpha is dropped.
    A sample: ``gt`` (3, crop_pad_size, crop_pad_size), RGB in [0, 1]; ``kernel1``, ``kernel2``, ``sinc_kernel``
    (21, 21); ``gt_path``. The model crops to gt_size after the degradation.

    Options:
        dataroot_gt: a folder, which is searched recursively, an .lmdb folder, or a list of folders.
        meta_info: a text file that selects images: one path relative to dataroot_gt per line. Paths may contain spaces;
            a second column is ignored. For a list of folders, a list of files.
        gt_size: side in pixels of the crop that the model trains on.
        crop_pad_size: side of the crop that is degraded, at least gt_size; smaller images are mirrored at their
            right and lower edges.
        use_hflip, use_rot: random horizontal flips; random vertical flips and rotations by 90 degrees.
        degradation: a preset for the kernels: mild, medium or real. Real-ESRGAN's keys (blur_sigma, kernel_prob,
            sinc_prob, ...) override it.
        dataset_enlarge_ratio: how often an image comes in an epoch. Without this key an epoch has 300 batches or more.
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
        self._report_small(measure([(image,) for image in self.items])[1])
        self.enlarge()

    def sample(self, item):
        turns = random_turns(self.opt['use_hflip'], self.opt['use_rot'])
        gt = to_tensor(random_square(self.reader.read(item), self.buffer, turns))
        return {'gt': gt, **self.kernels.draw(), 'gt_path': item.path}

    def _report_small(self, sizes):
        small = sum(min(size) < self.gt_size for (size,) in sizes)
        if small:
            logging.getLogger('basicsr').warning(
                f'{small} of {len(sizes)} images are smaller than gt_size {self.gt_size} and get mirrored edges'
            )


def _listed(root, meta_info):
    return [LazyImage(os.path.join(root, names_in_line(line)[0])) for line in read_lines(meta_info)]


def random_turns(hflip, rotation):
    """Draw whether to flip horizontally, flip vertically and transpose, as BasicSR's ``augment`` does."""
    return tuple(enabled and random.random() < 0.5 for enabled in (hflip, rotation, rotation))


def turned(image, turns):
    """Apply the flips of :func:`random_turns` to an image (H, W, 3)."""
    left_right, up_down, transposed = turns
    if left_right or up_down:
        image = cv2.flip(image, -1 if left_right and up_down else 1 if left_right else 0)
    return cv2.transpose(image) if transposed else image


def random_square(image, side, turns):
    """A random square crop of a turned image; a smaller image is mirrored at its right and lower edge first.

    Args:
        image: (H, W, 3), not turned yet: only the crop is.
        side: of the square, in pixels.
        turns: from :func:`random_turns`.
    """
    if min(image.shape[:2]) < side:
        down, right = (max(0, side - length) for length in image.shape[:2])
        edges = [(more, 0) if turn else (0, more) for more, turn in ((down, turns[1]), (right, turns[0]))]
        image = cv2.copyMakeBorder(image, *edges[0], *edges[1], cv2.BORDER_REFLECT_101)
    rows, columns = image.shape[:2]
    top, left = _draw_place((columns, rows) if turns[2] else (rows, columns), side)
    if turns[2]:
        top, left = left, top
    top, left = rows - side - top if turns[1] else top, columns - side - left if turns[0] else left
    return turned(image[top : top + side, left : left + side], turns)


def _draw_place(size, side):
    return (0, 0) if size == (side, side) else tuple(random.randint(0, length - side) for length in size)
