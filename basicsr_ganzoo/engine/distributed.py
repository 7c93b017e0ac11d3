"""Several processes: how they start, and how they agree."""

import os
import subprocess
from datetime import timedelta

import torch

from basicsr_ganzoo.config.runtime import TORCHRUN
from basicsr_ganzoo.errors import OptionError

#: how long the other processes wait for the first one, which validates and saves alone
TIMEOUT = timedelta(hours=3)


def start(launcher, dist_params=None):
    """Join the processes that torchrun or slurm has started, with nccl for GPUs and gloo for CPUs.

    Args:
        launcher: ``pytorch`` or ``slurm``.
        dist_params: ``port`` is that of slurm's first process, as in BasicSR.

    Raises:
        OptionError: neither has started them.
    """
    if launcher == 'slurm':
        _take_over_from_slurm((dist_params or {}).get('port'))
    elif 'RANK' not in os.environ:
        raise OptionError(f'--launcher pytorch requires torchrun: {TORCHRUN.format(2)}')
    if torch.cuda.is_available():
        local = int(os.environ.get('LOCAL_RANK', os.environ['RANK']))
        torch.cuda.set_device(local % torch.cuda.device_count())
    backend = 'cpu:gloo,cuda:nccl' if torch.cuda.is_available() else 'gloo'
    torch.distributed.init_process_group(backend, timeout=TIMEOUT)


def _take_over_from_slurm(port):
    """Set the variables of torchrun from those of srun, as BasicSR's ``init_dist`` does."""
    srun = os.environ
    if 'SLURM_PROCID' not in srun:
        raise OptionError('--launcher slurm requires srun; without it, omit --launcher')
    port = port or srun.get('MASTER_PORT', 29500)
    local = srun.get('SLURM_LOCALID', srun['SLURM_PROCID'])
    places = {'RANK': srun['SLURM_PROCID'], 'WORLD_SIZE': srun['SLURM_NTASKS'], 'LOCAL_RANK': local}
    srun.update({**places, 'MASTER_ADDR': _first_host(srun['SLURM_NODELIST']), 'MASTER_PORT': str(port)})


def _first_host(nodes):
    try:
        hosts = subprocess.run(['scontrol', 'show', 'hostname', nodes], capture_output=True, text=True).stdout.split()
    except FileNotFoundError:
        hosts = []
    if not hosts:
        raise OptionError(f'--launcher slurm: scontrol does not say which hosts {nodes} are; use torchrun instead')
    return hosts[0]


def stop():
    """Leave the other processes."""
    if _several():
        torch.distributed.destroy_process_group()


def wait():
    """Wait for all processes."""
    if _several():
        torch.distributed.barrier()


def agreed(value):
    """The maximum of a whole number over all processes, over gloo, so that no GPU has to finish first."""
    if not _several():
        return value
    maximum = torch.tensor(value)
    torch.distributed.all_reduce(maximum, torch.distributed.ReduceOp.MAX)
    return int(maximum)


def of_first(function, *args):
    """The result of ``function`` in the first process, which alone calls it, in all processes.

    Raises:
        OptionError: ``function`` raised it in the first process, which alone has the message.
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
    """Whether an error means that another process has ended; gloo has no class of its own for that."""
    kinds = [getattr(torch.distributed, name, ()) for name in ('DistBackendError', 'DistNetworkError')]
    return _several() and (any(isinstance(error, kind) for kind in kinds) or 'gloo' in str(error))


def _several():
    return torch.distributed.is_available() and torch.distributed.is_initialized()
