"""``val.keep_best``: the checkpoint of the best validation."""

import logging

import pytest
import torch
from _runs import train
from _training import model_opt, write_option_file
from basicsr.models import build_model

from basicsr_ganzoo import files
from basicsr_ganzoo.errors import DivergedError, OptionError
from basicsr_ganzoo.inference import upscale

METRICS = {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}, 'niqe': {'type': 'calculate_niqe', 'better': 'lower'}}


def build(folder, keep_best, metrics=METRICS, **path):
    val = {'metrics': metrics, 'keep_best': keep_best}
    sets = {'train': {'name': 'train'}, 'val': {'name': 'first'}, 'val_2': {'name': 'second'}}
    path = {'models': str(folder), **path}
    return build_model(model_opt() | {'val': val, 'datasets': sets, 'path': path})


def validate(model, iteration, data_set='first', **results):
    with torch.no_grad():  # so that every iteration has other weights
        next(model.net_g.parameters()).fill_(iteration)
    model.keeper.update(model.generators(), data_set, results, iteration)


def saved(folder):
    return torch.load(folder / 'net_g_best.pth', weights_only=True)


def saved_at(folder):
    content = saved(folder)
    assert set(next(iter(content['params'].values())).unique().tolist()) == {content['best']['iter']}
    return content['best']['iter']


@pytest.mark.parametrize(
    ('keep_best', 'values', 'expected'),
    [
        ({'metric': 'psnr', 'better': 'higher'}, [20.0, 21.0, 20.5, float('nan'), 21.0], [1, 2, 2, 2, 2]),
        ({'metric': 'psnr'}, [20.0, 19.0, 22.0], [1, 1, 3]),
        ({'metric': 'niqe', 'better': 'lower'}, [5.0, 6.0, 4.0, 4.5], [1, 1, 3, 3]),
        ({'metric': 'niqe'}, [5.0, 6.0, 4.0], [1, 1, 3]),
    ],
)
def test_the_best_is_kept_and_logged(keep_best, values, expected, tmp_path, caplog):
    model = build(tmp_path, keep_best)
    logging.getLogger('basicsr').addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, 'basicsr'):
        for iteration, (value, best) in enumerate(zip(values, expected, strict=True), start=1):
            validate(model, iteration, **{keep_best['metric']: value})
            assert saved_at(tmp_path) == best
            assert model.best['iter'] == best
            assert model.best['value'] == values[best - 1]
    last = expected[-1]
    told = f'Saved net_g_best.pth: {keep_best["metric"]} {values[last - 1]:.4f} on first at iteration {last} (before: '
    assert told in caplog.text
    assert caplog.text.count('Saved net_g_best.pth') == len(set(expected))


def test_only_the_first_data_set_counts_and_only_with_its_metric(tmp_path):
    model = build(tmp_path, {'metric': 'psnr'})
    validate(model, 1, 'second', psnr=30.0)
    validate(model, 2, 'first', niqe=3.0)
    assert model.best == {}
    assert list(tmp_path.iterdir()) == []
    validate(model, 3, 'first', psnr=20.0)
    validate(model, 4, 'second', psnr=40.0)
    assert saved_at(tmp_path) == 3


def test_the_file_is_a_checkpoint_like_the_others(tmp_path):
    model = build(tmp_path, {'metric': 'psnr'})
    validate(model, 1, psnr=20.0)
    content = saved(tmp_path)
    assert set(content) == {'params', 'params_ema', 'best'}
    assert upscale.load_generator(str(tmp_path / 'net_g_best.pth')).scale == 4
    model.load_network(model.net_g, str(tmp_path / 'net_g_best.pth'), True, 'params')


def test_a_resumed_run_continues_from_the_file_and_another_run_does_not(tmp_path):
    validate(build(tmp_path, {'metric': 'psnr'}), 5, psnr=25.0)
    resumed = build(tmp_path, {'metric': 'psnr'}, resume_state='4.state')
    assert resumed.best == {'metric': 'psnr', 'better': 'higher', 'data_set': 'first', 'value': 25.0, 'iter': 5}
    validate(resumed, 6, psnr=24.0)
    assert saved_at(tmp_path) == 5
    assert build(tmp_path, {'metric': 'niqe'}, resume_state='4.state').best == {}
    validate(build(tmp_path, {'metric': 'psnr'}), 1, psnr=20.0)
    assert saved_at(tmp_path) == 1


def test_a_damaged_file_is_reported_and_replaced(tmp_path):
    (tmp_path / 'net_g_best.pth').write_bytes(b'PK half of it')
    model = build(tmp_path, {'metric': 'psnr'}, resume_state='4.state')
    assert model.best == {}
    validate(model, 5, psnr=20.0)
    assert saved_at(tmp_path) == 5


def test_the_file_is_complete_or_what_it_was(tmp_path, monkeypatch):
    model = build(tmp_path, {'metric': 'psnr'})
    validate(model, 1, psnr=20.0)

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'replace', full)
    with pytest.raises(OptionError, match='cannot write .*net_g_best.pth: .*No space left'):
        validate(model, 2, psnr=21.0)
    assert saved_at(tmp_path) == 1
    assert [file.name for file in tmp_path.iterdir()] == ['net_g_best.pth']


def test_weights_that_are_not_finite_are_never_the_best(tmp_path):
    model = build(tmp_path, {'metric': 'niqe'})
    with pytest.raises(DivergedError):
        validate(model, float('nan'), niqe=1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('keep_best', 'expected'),
    [
        (
            {'metric': 'pnsr'},
            r'keep_best needs metric to be one of psnr, niqe, got .pnsr. \(did you mean psnr\?\)',
        ),
        ({'metric': 'psnr', 'better': 'bigger'}, 'needs better to be one of higher, lower'),
        ({'metrics': 'psnr'}, r'val\.keep_best needs to be a mapping with metric and better'),
        ('psnr', r'val\.keep_best needs to be a mapping with metric and better'),
    ],
)
def test_a_mistake_is_one_sentence(keep_best, expected, tmp_path):
    with pytest.raises(OptionError, match=expected):
        build(tmp_path, keep_best)


@pytest.mark.slow
def test_a_run_that_is_resumed_keeps_its_best(tmp_path):
    changes = {'val__keep_best': {'metric': 'psnr', 'better': 'higher'}, 'val__val_freq': 2}
    path = write_option_file(tmp_path, total_iter=2, **changes)
    code, output = train(path)
    assert code == 0, output
    file = tmp_path / 'experiments/gan_x4/models/net_g_best.pth'
    content = torch.load(file, weights_only=True)
    assert content['best']['iter'] == 2
    content['best']['value'] = 99.0  # which nothing will be better than
    torch.save(content, file)
    path = write_option_file(tmp_path, total_iter=4, **changes | {'val__val_freq': 2})
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert (tmp_path / 'experiments/gan_x4/models/net_g_4.pth').is_file()
    assert torch.load(file, weights_only=True)['best'] == content['best']
