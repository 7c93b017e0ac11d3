"""The summary in the log before the first step."""

from types import SimpleNamespace

import pytest
import torch
from _training import model_opt
from basicsr.models import build_model

from basicsr_ganzoo.trainer.summary import introduction


def introduced(iteration=0, processes=1, **train):
    opt = model_opt(**train)
    opt['path']['experiments_root'] = '/experiments/test'
    opt['datasets'] = {'train': {'gt_size': 64}}
    model = build_model(opt)
    opt['train'].update(total_iter=1000)
    opt['world_size'] = processes
    data = SimpleNamespace(dataset=range(1234), per_epoch=77, batch_size=8, whole_batch=8 * processes)
    return opt, model, data, iteration


def test_the_summary_has_every_line_but_not_what_is_off():
    lines = introduction(*introduced()).splitlines()
    assert lines[0] == 'Training on the CPU: 1,234 images, iterations 1 to 1,000, 77 in an epoch.'
    assert lines[1:4] == ['\tBatch size per gpu: 8', '\tWorld size (gpu number): 1', '\tImages in a step: 8']
    assert lines[-1] == '\tWriting to: /experiments/test'
    assert len(lines) == 5


def test_a_resumed_and_a_finished_run_name_the_remaining_iterations():
    assert 'iterations 401 to 1,000' in introduction(*introduced(iteration=400))
    assert 'all 1,000 iterations are done' in introduction(*introduced(iteration=1000))


def test_the_effective_batch_and_the_speed_options_are_shown():
    lines = introduction(*introduced(processes=4, accumulate=2, amp='bf16', channels_last=True))
    assert 'Images in a step: 32 (8 in each of 4 processes, 2 parts of 4, one after the other)' in lines
    assert 'Speed and memory: amp: bf16, channels_last: true, accumulate: 2' in lines


@pytest.mark.parametrize(
    ('visible', 'dist', 'expected'),
    [
        (1, False, 'Training on H100: '),
        (4, False, 'Training on H100, one of 4 GPUs (for all of them: torchrun --nproc_per_node 4 '),
        (4, True, 'Training on H100: '),
    ],
)
def test_training_on_one_of_several_gpus_says_so(visible, dist, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'H100')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: visible)
    opt, *rest = introduced()
    assert introduction({**opt, 'num_gpu': 1, 'dist': dist}, *rest).startswith(expected)
