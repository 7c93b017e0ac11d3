"""Dataset of GT and LQ pairs from two folders."""

from basicsr.data.transforms import augment, paired_random_crop
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo.data.folder_dataset import FolderDataset, Required, positive_integer
from basicsr_ganzoo.data.measure import measure, refuse, size_text
from basicsr_ganzoo.data.pairs import pairs_of
from basicsr_ganzoo.data.picture import to_tensor
from basicsr_ganzoo.data.reader import Reader
from basicsr_ganzoo.data.sources import folders, meta_files
from basicsr_ganzoo.errors import OptionError, PictureError
from basicsr_ganzoo.registry import register


@register(DATASET_REGISTRY)
class PairedFolderDataset(FolderDataset):
    """Pairs from two folder trees with the same relative names, for training and validation.

    Crops equal those of BasicSR's PairedImageDataset for the same random state. Differs from it: searches folders
    recursively, checks all names and sizes before training starts, and reads grey and 16-bit images. Alpha is dropped.
    A sample: ``gt`` and ``lq``, RGB in [0, 1]; ``gt_path`` and ``lq_path``. Outside training, images are not cropped,
    except that GT loses the rows and columns beyond scale times LQ, as in benchmarks.

    Options:
        dataroot_gt, dataroot_lq: two folders, two .lmdb folders, or two lists of them. gt/a/x.png belongs to
            lq/a/x.png; the extensions may differ.
        filename_tmpl: LQ's name made from GT's, without extension: '{}x4' if gt/0801.png belongs to
            lq/0801x4.png.
        meta_info (or meta_info_file): a text file with one pair per line, as ``gt/x.png, lq/y.png`` relative to the
            two folders, or only GT's path.
        gt_size: side in pixels of GT's training crop, a multiple of scale.
        use_hflip, use_rot: random horizontal flips; random vertical flips and rotations by 90 degrees.
        dataset_enlarge_ratio: how often an image comes in an epoch. Without this key an epoch has 300 batches or more.
        io_backend: BasicSR's mapping with a type: disk, lmdb or memcached. Without it, disk, or lmdb for .lmdb folders.
    """

    OPTIONS = {
        'dataroot_gt': Required('datasets/train/gt'),
        'dataroot_lq': Required('datasets/train/lq'),
        'filename_tmpl': '{}',
        'meta_info': None,
        'meta_info_file': None,
        'gt_size': 128,
        'use_hflip': True,
        'use_rot': True,
        **FolderDataset.OPTIONS,
    }

    def __init__(self, opt):
        super().__init__(opt)
        self.scale, self.gt_size = self._scale(), positive_integer(self.opt, 'gt_size')
        if self.training and self.gt_size % self.scale:
            low = self.gt_size // self.scale * self.scale
            fitting = f'{low} or {low + self.scale}' if low else self.scale
            raise OptionError(f'gt_size {self.gt_size} is no multiple of scale {self.scale}; take {fitting}')
        roots = [folders(self.opt[name], name) for name in ('dataroot_gt', 'dataroot_lq')]
        if len(roots[0]) != len(roots[1]):
            raise OptionError('dataroot_gt and dataroot_lq need to be lists of the same length')
        self.reader = Reader(self.opt['io_backend'], sum(roots, []))
        meta_info = meta_files(self.opt['meta_info'] or self.opt['meta_info_file'], roots[0])
        for gt_root, lq_root, meta_file in zip(*roots, meta_info, strict=True):
            self.items += pairs_of(gt_root, lq_root, meta_file, self.opt['filename_tmpl'])
        self._check_sizes()
        self.enlarge()

    def sample(self, item):
        gt, lq = (self.reader.read(image) for image in item)
        for fault in (self._misfit(gt.shape, lq.shape), self._smallness(gt.shape)):
            if fault:
                raise PictureError(f'{item[0].path} ({size_text(gt.shape)}) and {item[1].path}: {fault}')
        if self.training:
            gt, lq = paired_random_crop(gt, lq, self.gt_size, self.scale, item[0].path)
            gt, lq = augment([gt, lq], self.opt['use_hflip'], self.opt['use_rot'])
        else:
            gt, lq = gt[: lq.shape[0] * self.scale, : lq.shape[1] * self.scale], lq
        return {'lq': to_tensor(lq), 'gt': to_tensor(gt), 'lq_path': item[1].path, 'gt_path': item[0].path}

    def _scale(self):
        if 'scale' not in self.opt:
            raise OptionError('scale is missing at the top of the option file')
        return positive_integer(self.opt, 'scale')

    def _misfit(self, gt, lq):
        """What is wrong with the sizes of a pair, or None. In validation GT may have extra rows, which are cut off."""
        rests = [full - part * self.scale for full, part in zip(gt[:2], lq[:2], strict=True)]
        if all(rest == 0 or (0 < rest < self.scale and not self.training) for rest in rests):
            return None
        return f'GT {size_text(gt)} is not {self.scale} times LQ {size_text(lq)}'

    def _smallness(self, gt):
        if self.training and min(gt[:2]) < self.gt_size:
            return f'GT {size_text(gt)} is smaller than gt_size {self.gt_size}'
        return None

    def _check_sizes(self):
        pairs, sizes = measure(self.items)
        named = [(pair[0].path, *size) for pair, size in zip(pairs, sizes, strict=True)]
        misfits = [f'{path} ({self._misfit(gt, lq)})' for path, gt, lq in named if self._misfit(gt, lq)]
        refuse(misfits, len(pairs), f'pairs do not fit scale {self.scale}', self._way_out(sizes))
        small = [f'{path} ({size_text(gt)})' for path, gt, _ in named if self._smallness(gt)]
        refuse(small, len(pairs), f'images are smaller than gt_size {self.gt_size}', 'lower gt_size or remove them')

    def _way_out(self, sizes):
        ratios = {full / part for gt, lq in sizes for full, part in zip(gt, lq, strict=True)}
        if len(ratios) == 1 and min(ratios).is_integer():
            return f'these images are of scale {min(ratios):g}'
        return f'cut GT to a multiple of {self.scale} before reducing it to LQ'
