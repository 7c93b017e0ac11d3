"""The demo, with a few iterations: its files, its report, and its errors."""

import json
import math
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from basicsr.utils import img2tensor, tensor2img

from basicsr_ganzoo import cli
from basicsr_ganzoo.cli import demo as verb
from basicsr_ganzoo.demo import data, figures, report, scores, training
from basicsr_ganzoo.files import whole_file

FILES = {
    'comparison.png',
    'curves.png',
    'data',
    'demo_gan.yml',
    'demo_l1.yml',
    'net_g_gan.pth',
    'net_g_l1.pth',
    'report.json',
}


def demo(out, iters=4, seed=0):
    parser = cli.argparse.ArgumentParser()
    verb.add_arguments(parser)
    args = parser.parse_args(['--out', str(out), '--iters', str(iters), '--seed', str(seed)])
    return cli.report_mistakes(verb.run, args)


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp('demo') / 'new' / 'folder'
    assert demo(out) == 0
    return out


@pytest.fixture(scope='module')
def content(done):
    return json.loads((done / 'report.json').read_text(encoding='utf-8'))


@pytest.mark.slow
def test_a_demo_writes_its_files_and_nothing_else(done):
    assert {path.name for path in done.iterdir()} == FILES
    for name in ('comparison.png', 'curves.png'):
        assert cv2.imread(str(done / name)).std() > 10
    assert (done / 'comparison.png').stat().st_size < 700_000


@pytest.mark.slow
def test_the_report_has_plausible_scores_for_every_method_on_every_held_out_image(content):
    assert set(content['pictures']) == {Path(name).stem for name in content['settings']['test_pictures']}
    for methods in (*content['pictures'].values(), content['mean']):
        assert list(methods) == ['bicubic', 'l1', 'gan', 'gt']
        for method, values in methods.items():
            assert set(values) == ({'niqe'} if method == 'gt' else {'psnr', 'ssim', 'niqe', 'hf'})
            assert all(math.isfinite(value) and value > 0 for value in values.values())
            assert method == 'gt' or (10 < values['psnr'] < 50 and values['ssim'] < 1)
        assert methods['bicubic']['hf'] < 1
    assert {'l_g_pix', 'l_g_gan', 'l_d_real', 'l_d_fake', 'rho'} <= set(content['last_tenth_of_training']['gan'])
    assert sum(content['settings']['iterations'].values()) == 4


@pytest.mark.slow
def test_the_scores_in_the_report_are_those_of_the_saved_checkpoints(done, content):
    for stage in training.TITLES:
        opt = yaml.safe_load((done / f'demo_{stage}.yml').read_text(encoding='utf-8'))
        net = build_network(opt['network_g']).eval()
        net.load_state_dict(torch.load(done / f'net_g_{stage}.pth', weights_only=True)['params_ema'])
        for name, methods in content['pictures'].items():
            gt, lq = (cv2.imread(str(done / 'data' / 'test' / kind / f'{name}.png')) for kind in ('gt', 'lq'))
            with torch.no_grad():
                image = tensor2img(net(img2tensor(lq.astype(np.float32) / 255)[None]))
            assert scores.score(image, gt, opt['scale']) == methods[stage]


@pytest.mark.slow
def test_the_gan_stage_trained_further_from_the_l1_checkpoint(done):
    l1, gan = (torch.load(done / f'net_g_{stage}.pth', weights_only=True) for stage in training.TITLES)
    assert set(l1) == set(gan) == {'params', 'params_ema'}
    steps = [(gan['params'][name] - tensor).abs().max() for name, tensor in l1['params_ema'].items()]
    assert 0 < max(steps) < 0.02


@pytest.mark.slow
def test_a_demo_overwrites_an_earlier_one_with_the_same_report_and_another_seed_gives_another(done, tmp_path):
    first = (done / 'report.json').read_bytes()
    for name in ('comparison.png', 'report.json'):
        (done / name).write_bytes(b'old')
    assert demo(done) == 0
    assert {path.name for path in done.iterdir()} == FILES
    assert (done / 'comparison.png').read_bytes() != b'old'
    assert demo(tmp_path / 'other', seed=1) == 0
    again, other = ((out / 'report.json').read_bytes() for out in (done, tmp_path / 'other'))
    assert first == again != other


@pytest.mark.slow
def test_training_and_held_out_images_are_disjoint(done, content):
    settings = content['settings']
    assert not set(settings['train_pictures']) & set(settings['test_pictures'])
    train = {path.stem.rsplit('_', 2)[0] for path in (done / 'data' / 'train' / 'gt').iterdir()}
    test = {path.stem for path in (done / 'data' / 'test' / 'gt').iterdir()}
    assert (train, test) == tuple({Path(n).stem for n in settings[f'{split}_pictures']} for split in ('train', 'test'))


@pytest.mark.slow
def test_lq_is_the_downscaled_gt_at_the_same_place(done, content):
    scale = content['settings']['scale']
    path = sorted((done / 'data' / 'train' / 'gt').glob('motorcycle_left_*.png'))[7]
    gt, lq = (cv2.imread(str(done / 'data' / 'train' / kind / path.name)) for kind in ('gt', 'lq'))
    assert np.abs(data.resized(gt, 1 / scale).astype(int) - lq)[4:-4, 4:-4].max() <= 1


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'iters': 1}, '--iters needs to be at least 2'),
        ({'iters': -3}, 'got -3'),
        ({'seed': -1}, '--seed needs to be from 0'),
        ({'out': 'file'}, 'is a file'),
        ({'out': 'file/below'}, 'is a file'),
        ({'out': 'full'}, 'no earlier demo'),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(arguments, words, tmp_path, capsys):
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'mine.txt').write_text('mine')
    before = sorted(tmp_path.rglob('*'))
    assert demo(**{'out': tmp_path / arguments.pop('out', 'new'), **arguments}) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert error.count('\n') == 1
    assert words in error
    assert sorted(tmp_path.rglob('*')) == before


def test_a_folder_without_write_permission_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, 'access', lambda *_: False)
    assert demo(tmp_path / 'new') == 1
    assert 'no permission to write' in capsys.readouterr().err


def test_a_folder_that_cannot_be_created_is_named(tmp_path, monkeypatch, capsys):
    def refuse(path, *args, **kwargs):
        raise OSError(30, 'Read-only file system', str(path))

    monkeypatch.setattr(Path, 'mkdir', refuse)
    assert demo(tmp_path / 'new') == 1
    assert capsys.readouterr().err.endswith('new cannot be created: Read-only file system; give another --out\n')


def test_a_file_whose_writing_fails_keeps_its_content(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('former')

    def fail():
        with whole_file(path) as part:
            part.write_text('half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [('a.txt', 'former')]


@pytest.mark.parametrize(('iters', 'stages'), [(None, (700, 300)), (2, (1, 1)), (3, (2, 1)), (100, (70, 30))])
def test_iterations_are_split_in_the_proportion_of_the_option_files(iters, stages):
    assert training.split_iterations(iters, 700, 300) == stages


def test_high_frequency_energy_counts_what_lq_cannot_represent():
    x = np.arange(96)
    wave = {f: np.tile(127 + 100 * np.sin(2 * np.pi * f * x), (96, 1))[..., None].repeat(3, 2) for f in (0.1, 0.4)}
    low, high = (scores.high_frequency_energy(wave[f].astype(np.uint8), 2) for f in (0.1, 0.4))
    assert high > 1000 * low


def test_the_crop_of_the_comparison_is_the_most_detailed_one_near_the_centre():
    gt = np.zeros((400, 600, 3), np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (figures.CROP, figures.CROP, 3), np.uint8)
    gt[160 : 160 + figures.CROP, 244 : 244 + figures.CROP] = noise
    y, x = figures.best_corner(gt, 2)
    assert abs(y - 160) <= 8
    assert abs(x - 244) <= 8


def test_the_explanation_has_the_differences_and_rho():
    psnr, energy = {'bicubic': 30.0, 'l1': 31.0, 'gan': 30.4}, {'bicubic': 0.05, 'l1': 0.15, 'gan': 0.4}
    mean = {method: {'psnr': psnr[method], 'hf': energy[method]} for method in psnr}
    text = report.explain({'mean': mean, 'last_tenth_of_training': {'gan': {'rho': 2.5}}})
    for words in ('L1 is +1.00 dB', 'the GAN -0.60 dB', 'bicubic 5%, L1 15%, GAN 40%', '2.50 times'):
        assert words in text


@pytest.mark.slow
@pytest.mark.usefixtures('keyboard')
def test_ctrl_c_ends_the_demo_with_one_sentence_and_leaves_no_unfinished_run(tmp_path, monkeypatch, capsys):
    def interrupt(curves, iteration, *_):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training.Curves, 'on_step', interrupt)
    assert demo(tmp_path) == 130
    assert capsys.readouterr().err == 'the demo was stopped; run it again to restart\n'
    assert {path.name for path in tmp_path.iterdir()} == {'data', 'demo_l1.yml'}
