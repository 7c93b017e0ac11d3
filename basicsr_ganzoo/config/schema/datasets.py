"""Keys of `datasets`: the training set and the validation sets."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from basicsr_ganzoo.config.schema.base import (
    Block,
    Files,
    Folders,
    Keys,
    Numbers,
    Side,
    Size,
    SizeOrZero,
    key,
    required,
)
from basicsr_ganzoo.config.schema.degradation import KERNELS, KernelDegradation
from basicsr_ganzoo.config.types import Number

OUR_DATASETS = ('GTFolderDataset', 'PairedFolderDataset', 'LQFolderDataset')
PAIRED = ('PairedFolderDataset', 'PairedImageDataset', 'RealESRGANPairedDataset')
STOCK = ('PairedImageDataset', 'SingleImageDataset', 'RealESRGANDataset', 'RealESRGANPairedDataset')
DATASETS = (*OUR_DATASETS, *STOCK)
NORMALISED = ('PairedImageDataset', 'SingleImageDataset', 'RealESRGANPairedDataset')
META_INFO = ('GTFolderDataset', 'PairedFolderDataset', 'RealESRGANDataset', 'RealESRGANPairedDataset')
META_INFO_FILE = ('PairedFolderDataset', 'PairedImageDataset', 'SingleImageDataset')
Ratio = Literal['auto'] | Annotated[Number, Field(gt=0, le=1_000_000)]


class Dataset(KernelDegradation, Block):
    """A dataset. A type of somebody else's may have further keys."""

    type: str = required('the registered dataset')
    name: str = key(None, 'its name in the log')
    dataroot_gt: Folders = key(None, 'folder of GT, or a list of folders', datasets=(*KERNELS, *PAIRED))
    dataroot_lq: Folders = key(
        None, 'folder of LQ, or a list of folders', datasets=('LQFolderDataset', 'SingleImageDataset', *PAIRED)
    )
    filename_tmpl: str = key('{}', "LQ's name from GT's, such as '{}x4', without extension", datasets=PAIRED)
    meta_info: Files = key(None, 'text file that lists the images', datasets=META_INFO)
    meta_info_file: Files = key(None, 'text file that lists the images', datasets=META_INFO_FILE)
    io_backend: Block = key(None, 'type: disk, lmdb or memcached', datasets=DATASETS)
    gt_size: Side = key(
        None, 'side in pixels of the GT crop, a multiple of scale', datasets=('GTFolderDataset', *PAIRED)
    )
    crop_pad_size: Side = key(400, 'side of the crop that is degraded, at least gt_size', datasets=KERNELS[:1])
    use_hflip: bool = key(True, 'flip left and right at random', datasets=(*KERNELS, *PAIRED))
    use_rot: bool = key(None, 'flip up and down and transpose at random', datasets=(*KERNELS, *PAIRED))
    mean: Numbers = key(None, 'subtracted from each channel', datasets=NORMALISED)
    std: Numbers = key(None, 'by which each channel is divided', datasets=NORMALISED)
    color: Literal['y'] = key(
        None, 'y takes the Y channel alone', datasets=('PairedImageDataset', 'SingleImageDataset')
    )
    batch_size_per_gpu: Size = key(None, 'crops of a batch on each GPU, required for training')
    num_worker_per_gpu: SizeOrZero = key(None, 'processes that load images for each GPU, required for training')
    dataset_enlarge_ratio: Ratio = key(None, 'how often an image comes in an epoch')
    prefetch_mode: Literal['cpu', 'cuda'] = key(None, 'load the next batches ahead; cuda needs pin_memory')
    num_prefetch_queue: Size = key(1, 'batches that prefetch_mode: cpu loads ahead')
    pin_memory: bool = key(None, 'page-locked memory for batches')
    persistent_workers: bool = key(False, 'keep the workers between epochs')
    use_shuffle: bool = key(None, 'in old files; shuffling is always on')
    phase: str = key(None, 'set by the training')
    scale: Size = key(None, 'set by the training')


class TrainingSet(Dataset):
    """The dataset of the training."""

    batch_size_per_gpu: Size = required('crops of a batch on each GPU')
    num_worker_per_gpu: SizeOrZero = required('processes that load images for each GPU')


class Datasets(Keys):
    """`train`, and for validation `val`, `val_2`, ..."""

    model_config = ConfigDict(extra='allow')
    unknown: ClassVar = 'training reads train, val, val_2, ... alone'
    open_to: ClassVar = '^val_'
    __pydantic_extra__: dict[str, Dataset]

    train: TrainingSet = required('what is trained on')
    val: Dataset = key(None, 'what is validated on; further ones are val_2, val_3, ...')
