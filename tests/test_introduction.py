"""What the log says before the first step."""

from types import SimpleNamespace

import pytest
import torch
from _runs import degrading, results, train
from _state import differences
from _training import model_opt
from basicsr.models import build_model

from basicsr_ganzoo.training.introduction import flops_text, introduction


def introduced(iteration=0, processes=1, **train):
    opt = model_opt(**train)
    opt['path']['experiments_root'] = '/experiments/test'
    opt['datasets'] = {'train': {'gt_size': 64}}
    model = build_model(opt)
    opt['train'].update(total_iter=1000)
    opt['world_size'] = processes
    data = SimpleNamespace(dataset=range(1234), per_epoch=77, batch_size=8, whole_batch=8 * processes)
    return opt, model, data, iteration


def test_everything_is_told_and_what_is_off_is_not():
    told = introduction(*introduced()).splitlines()
    assert told[0] == 'Training on the CPU: 1,234 pictures, iterations 1 to 1,000, 77 in an epoch.'
    assert told[1:4] == ['\tBatch size per gpu: 8', '\tWorld size (gpu number): 1', '\tPictures in a step: 8']
    assert told[-1] == '\tWriting to: /experiments/test'
    assert told[4].startswith('\tCost of a step: ')
    assert len(told) == 6


def test_a_resumed_and_a_finished_run_say_what_is_left():
    assert 'iterations 401 to 1,000' in introduction(*introduced(iteration=400))
    assert 'all 1,000 iterations are done' in introduction(*introduced(iteration=1000))


def test_the_effective_batch_is_explained_and_the_keys_for_speed_are_named():
    told = introduction(*introduced(processes=4, accumulate=2, amp='bf16', channels_last=True))
    assert 'Pictures in a step: 32 (8 in each of 4 processes, 2 parts of 4, one after the other)' in told
    assert 'Faster, smaller: amp: bf16, channels_last: true, accumulate: 2' in told


@pytest.mark.parametrize(
    ('visible', 'dist', 'expected'),
    [
        (1, False, 'Training on H100: '),
        (4, False, 'Training on H100, one of 4 GPUs (for all of them: torchrun --nproc_per_node 4 '),
        (4, True, 'Training on H100: '),
    ],
)
def test_one_of_several_gpus_is_said_to_be_one(visible, dist, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'H100')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: visible)
    opt, *rest = introduced()
    assert introduction({**opt, 'num_gpu': 1, 'dist': dist}, *rest).startswith(expected)


def test_training_is_the_same_with_and_without_it(tmp_path, monkeypatch):
    changes = {'total_iter': 3, 'val': None, 'train__views': [{'type': 'DiffAugmentView'}]}
    code, output = train(degrading(tmp_path / 'with', **changes))
    assert code == 0, output
    assert 'Cost of a step: ' in output
    monkeypatch.setattr('basicsr_ganzoo.training.run.introduction', lambda *args: 'nothing')
    assert train(degrading(tmp_path / 'without', **changes))[0] == 0
    one, other = (results(tmp_path / name, 3) for name in ('with', 'without'))
    assert differences(one, other) == []


def test_without_the_size_of_the_pictures_the_cost_is_unknown():
    opt, *rest = introduced()
    opt['datasets'] = {'train': {}}
    assert 'Cost of a step: unknown, without gt_size' in introduction(opt, *rest)


@pytest.mark.parametrize(
    ('flops', 'text'),
    [(None, 'unknown'), (5e3, '0.005 MFLOPs'), (179.4e9, '179 GFLOPs'), (1.5e12, '1.5 TFLOPs'), (2e15, '2 PFLOPs')],
)
def test_flops_come_with_a_fitting_unit(flops, text):
    assert flops_text(flops) == text
