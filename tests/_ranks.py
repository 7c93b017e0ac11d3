"""Two processes that talk over gloo, and what each of them finds."""

import torch
from torch import distributed as dist
from torch import multiprocessing

RANKS = 2


def results_of_ranks(function, folder):
    """What ``function(rank)``, a function of a module, returns in each of :data:`RANKS` processes, in their order."""
    multiprocessing.start_processes(_run, args=(function, str(folder)), nprocs=RANKS, start_method='fork')
    return [torch.load(folder / f'{rank}.pt') for rank in range(RANKS)]


def _run(rank, function, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=RANKS)
    torch.save(function(rank), f'{folder}/{rank}.pt')
    dist.destroy_process_group()
