"""The whole option file: keys of the top level, and of `path`, `val`, `logger` and `dist_params`."""

from typing import Annotated, Literal

from pydantic import Field

from basicsr_ganzoo.config.schema.base import (
    GANS,
    MODELS,
    OURS,
    Block,
    File,
    Folder,
    FolderName,
    Keys,
    Size,
    SizeOrZero,
    key,
    required,
)
from basicsr_ganzoo.config.schema.datasets import Datasets
from basicsr_ganzoo.config.schema.degradation import ModelDegradation
from basicsr_ganzoo.config.schema.train import Adversary, Train
from basicsr_ganzoo.config.types import Count

Adversaries = Annotated[dict[str, Adversary], 'a mapping of names to blocks']
Direction = Annotated[Literal['higher', 'lower'], 'higher or lower']
Names = Annotated[str | list[str], 'a name or a list of names']


class Path(Keys):
    """Files to start from, and where a run writes."""

    pretrain_network_g: File = key(None, 'file or URL of weights that G starts from')
    param_key_g: str = key('params', 'key of the weights in that file')
    strict_load_g: bool = key(True, 'all weights of that file have to fit')
    pretrain_network_d: File = key(None, 'file or URL of weights that D starts from', GANS)
    param_key_d: str = key('params', 'key of the weights in that file')
    strict_load_d: bool = key(True, 'all weights of that file have to fit')
    resume_state: File = key(None, 'training state to resume from')
    ignore_resume_networks: Names = key(None, 'networks that a resumed run does not load')
    experiments_root: Folder = key('experiments', 'folder that experiments are written to')


class Metric(Block):
    """A metric of the validation. Further keys are its arguments."""

    crop_border: SizeOrZero = key(None, 'pixels at the border that do not count')
    better: Direction = key('higher', 'which values are better')


Metrics = Annotated[dict[str, Metric], 'a mapping of names to blocks with a type']


class Best(Keys):
    """Which validation is the best."""

    metric: str = required('a name of val.metrics')
    better: Direction = key(None, 'which values of it are better')


class Validation(Keys):
    """Validation while training."""

    val_freq: Count = required('iterations between two validations')
    save_img: bool = required('save the images of each validation')
    metrics: Metrics = key(None, 'metrics by any name')
    pbar: bool = key(False, 'show a progress bar')
    suffix: str = key(None, "end of the images' names")
    tile: SizeOrZero = key(0, 'side in pixels of LQ of the tiles that G sees; 0: the whole image', OURS)
    preview: SizeOrZero = key(0, 'images of each dataset that are shown as strips LQ, start, now, GT', OURS)
    keep_best: Best = key(None, 'keep the generator of the best validation as net_g_best.pth', OURS)


class Wandb(Keys):
    """Weights & Biases, which needs use_tb_logger."""

    project: str = key(None, 'project; without one nothing is sent')
    resume_id: str = key(None, 'id of the run to resume')


class Logger(Keys):
    """What is logged and saved, and when."""

    print_freq: Count = required('iterations between two lines of the log')
    save_checkpoint_freq: Count = required('iterations between two checkpoints')
    keep_last: Size = key(None, 'checkpoints to keep; all by default')
    use_tb_logger: bool = key(False, 'write TensorBoard files')
    wandb: Wandb = key(None, 'Weights & Biases')


class Distributed(Keys):
    """What a launcher passes to torch.distributed."""

    backend: str = key('nccl', 'backend of torch.distributed')
    port: Annotated[int, Field(ge=1, le=65535)] = key(29500, 'port, for slurm')


class Options(ModelDegradation):
    """An option file."""

    name: FolderName = required('name of the experiment and of its folder')
    model_type: str = required(f'{", ".join(MODELS)}, or another registered model')
    scale: Size = key(1, 'GT is so many times as large as LQ')
    num_gpu: Literal['auto'] | SizeOrZero = required('0 trains on the CPU')
    manual_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = key(None, 'seed of all random numbers')
    imports: list[str] = key(None, 'modules or .py files with networks, losses, ... of your own; they are executed')
    network_g: Block = required('generator')
    network_d: Block = key(None, 'discriminator', GANS)
    adversaries: Adversaries = key(None, 'several discriminators by name, in place of network_d', OURS)
    datasets: Datasets = required('what is trained and validated on')
    path: Path = required('files to start from')
    train: Train = required('losses, optimizers, course of the training')
    val: Validation = key(None, 'validation')
    logger: Logger = required('log and checkpoints')
    dist_params: Distributed = key(None, 'training in several processes')
    find_unused_parameters: bool = key(False, 'of DistributedDataParallel')
