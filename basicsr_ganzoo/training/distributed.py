"""Several processes: how they begin, and how they agree."""

import os
from datetime import timedelta

import torch
from basicsr.utils import dist_util

from basicsr_ganzoo._options import OptionError

TORCHRUN = 'torchrun --nproc_per_node {} -m basicsr_ganzoo.train ... --launcher pytorch'
#: the other processes wait so long for the first one, which validates and saves alone
PATIENCE = timedelta(hours=3)


def start(launcher, dist_params=None):
    """Join the processes that torchrun or slurm has started; over gloo where there is no GPU.

    Raises:
        OptionError: nothing has started them.
    """
    if launcher == 'slurm':
        return _start_slurm(dist_params or {})
    if 'RANK' not in os.environ:
        raise OptionError(f'--launcher pytorch belongs to torchrun: {TORCHRUN.format(2)}')
    if torch.cuda.is_available():
        local = int(os.environ.get('LOCAL_RANK', os.environ['RANK']))
        torch.cuda.set_device(local % torch.cuda.device_count())
    backend = 'nccl' if torch.cuda.is_available() else 'gloo'
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    return None


def _start_slurm(dist_params):
    if 'SLURM_PROCID' not in os.environ:
        raise OptionError('--launcher slurm belongs to srun; without it, leave --launcher away')
    if not torch.cuda.is_available():
        raise OptionError('--launcher slurm needs GPUs; without them use torchrun and --launcher pytorch')
    dist_util.init_dist('slurm', **dist_params)


def stop():
    """Leave the other processes."""
    if _several():
        torch.distributed.destroy_process_group()


def wait():
    """Wait until all processes are here."""
    if _several():
        torch.distributed.barrier()


def agreed(value, device):
    """The largest of a whole number of each process."""
    if not _several():
        return value
    numbers = torch.tensor(value, device=device)
    torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return int(numbers)


def of_first(function, *args):
    """What ``function`` gives in the first process, in all of them; it is called there alone.

    Raises:
        OptionError: ``function`` has raised it in the first process, which alone has the message.
    """
    if not _several():
        return function(*args)
    first = torch.distributed.get_rank() == 0
    box = [_outcome(function, *args) if first else None]
    torch.distributed.broadcast_object_list(box)
    result, message = box[0]
    if message is not None:
        raise OptionError(message if first else '')
    return result


def _outcome(function, *args):
    try:
        return function(*args), None
    except OptionError as error:
        return None, str(error)


def is_lost(error):
    """Whether an error says that another process is gone; gloo has no class of its own for that."""
    kinds = [getattr(torch.distributed, name, ()) for name in ('DistBackendError', 'DistNetworkError')]
    return _several() and (any(isinstance(error, kind) for kind in kinds) or 'gloo' in str(error))


def _several():
    return torch.distributed.is_available() and torch.distributed.is_initialized()
