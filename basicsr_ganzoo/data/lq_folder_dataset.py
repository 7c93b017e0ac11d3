"""Dataset of LQ images without GT, for validation by eye and for testing."""

from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo.data.folder_dataset import FolderDataset, Required
from basicsr_ganzoo.data.measure import measure
from basicsr_ganzoo.data.picture import to_tensor
from basicsr_ganzoo.data.reader import Reader
from basicsr_ganzoo.data.sources import folders, pictures_under
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import register


@register(DATASET_REGISTRY)
class LQFolderDataset(FolderDataset):
    """Images of a folder tree without ground truth, for validation by eye and for testing; not for training.

    Differs from BasicSR's SingleImageDataset: searches the folder recursively, ignores files that are no images,
    checks every image at the start, and reads grey and 16-bit images. Alpha is dropped.
    A sample: ``lq`` (3, H, W), RGB in [0, 1]; ``lq_path``.

    Options:
        dataroot_lq: a folder, which is searched recursively, an .lmdb folder, or a list of folders.
        io_backend: BasicSR's mapping with a type: disk, lmdb or memcached. Without it, disk, or lmdb for .lmdb folders.
    """

    OPTIONS = {'dataroot_lq': Required('datasets/val/lq'), 'io_backend': None}

    def __init__(self, opt):
        super().__init__(opt)
        if self.training:
            raise OptionError('LQFolderDataset has no gt to train with; use PairedFolderDataset or GTFolderDataset')
        roots = folders(self.opt['dataroot_lq'], 'dataroot_lq')
        self.reader = Reader(self.opt['io_backend'], roots)
        self.items = [image for root in roots for image in pictures_under(root).values()]
        measure([(image,) for image in self.items])

    @classmethod
    def example(cls):
        """A block for an option file."""
        return {'name': 'val', 'type': cls.__name__, 'dataroot_lq': cls.OPTIONS['dataroot_lq'].example}

    def sample(self, item):
        return {'lq': to_tensor(self.reader.read(item)), 'lq_path': item.path}
