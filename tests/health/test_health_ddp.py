"""The health report of two processes."""

import pytest
import torch
from _ranks import RANKS, results_of_ranks
from _training import model_opt

pytestmark = pytest.mark.slow


def train_on_one_rank(rank):
    from basicsr.models import build_model
    from test_health import EVERY_STEP, SMALL_D, images, validate_on_images

    results = []
    for health_opt in (EVERY_STEP, False):
        opt = model_opt(gan_opt={'type': 'RaGANLoss'}, network_d=SMALL_D, health_opt=health_opt)
        opt.update(dist=True, rank=rank, world_size=RANKS)
        torch.manual_seed(rank)
        model = build_model(opt)
        generator = torch.Generator().manual_seed(rank)
        for iteration in range(1, 4):
            model.feed_data(images(2, generator))
            model.optimize_parameters(iteration)
            validate_on_images(model, iteration)  # on rank 0 only
        weights = [p.detach().clone() for p in model.adversaries['net_d'].bare.parameters()]
        results.append((dict(model.log_dict), weights))
    return results


def test_two_ranks_have_the_same_metrics_and_continue_while_one_validates(tmp_path):
    (first, without), (second, _) = results_of_ranks(train_on_one_rank, tmp_path)
    assert first[0] == second[0]
    assert {'d_moved', 'drift_r', 'r1'} <= set(first[0])
    for others in (second, without):
        assert all(torch.equal(a, b) for a, b in zip(first[1], others[1], strict=True))
