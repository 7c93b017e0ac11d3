"""The health report of two processes."""

import torch
from _training import model_opt
from torch import distributed as dist
from torch import multiprocessing

import basicsr_ganzoo  # noqa: F401  a spawned process starts here, and needs it before BasicSR


def train_on_one_rank(rank, folder, ranks):
    from basicsr.models import build_model
    from test_health import EVERY_STEP, SMALL_D, pictures, validate_on_pictures

    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=ranks)
    results = []
    for health_opt in (EVERY_STEP, False):
        opt = model_opt(gan_opt={'type': 'RaGANLoss'}, network_d=SMALL_D, health_opt=health_opt)
        opt.update(dist=True, rank=rank, world_size=ranks)
        torch.manual_seed(rank)
        model = build_model(opt)
        generator = torch.Generator().manual_seed(rank)
        for iteration in range(1, 4):
            model.feed_data(pictures(2, generator))
            model.optimize_parameters(iteration)
            validate_on_pictures(model, iteration)  # on rank 0 only
        weights = [p.detach().clone() for p in model.adversaries['net_d'].bare.parameters()]
        results.append((dict(model.log_dict), weights))
    torch.save(results, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ranks_have_the_same_numbers_and_train_on_while_one_validates(tmp_path):
    multiprocessing.spawn(train_on_one_rank, args=(str(tmp_path), 2), nprocs=2)
    (first, without), (second, _) = (torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    assert first[0] == second[0]
    assert {'d_moved', 'drift_r', 'r1'} <= set(first[0])
    for others in (second, without):
        assert all(torch.equal(a, b) for a, b in zip(first[1], others[1], strict=True))
