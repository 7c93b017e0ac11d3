"""Validation: tiles, datasets with gt and without, and what it leaves behind."""

import logging
import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from _runs import train
from _training import SCALE, model_opt, run_python, write_option_file
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.models import build_model
from torch.utils.data import default_collate

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.inference.tiling import in_tiles

PSNR = {'psnr': {'type': 'calculate_psnr', 'crop_border': SCALE}}
NIQE = {'niqe': {'type': 'calculate_niqe', 'crop_border': 0, 'better': 'lower'}}
MODELS = ('GANZooModel', 'RealESRGANZooModel', 'RealESRNetZooModel')


class Loader(list):
    """Batches of a dataset of this name."""

    def __init__(self, batches, name='held_out'):
        super().__init__(batches)
        self.dataset = SimpleNamespace(opt={'name': name})


def pictures(count=2, height=30, width=41, with_gt=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for index in range(count):
        data = {'lq_path': [f'folder/{index}.png'], 'lq': torch.rand(1, 3, height, width, generator=generator)}
        if with_gt:
            data['gt'] = torch.rand(1, 3, height * SCALE, width * SCALE, generator=generator)
        yield data


def build(model_type='GANZooModel', val=None, **changes):
    torch.manual_seed(0)
    return build_model(model_opt(model_type) | {'high_order_degradation': False, 'val': val or {}} | changes)


def psnr_and_pictures(model, folder):
    model.opt['path']['visualization'] = str(folder)
    model.validation(Loader(pictures()), 5, None, save_img=True)
    return model.metric_results['psnr'], [cv2.imread(str(folder / f'{i}/{i}_5.png')).astype(int) for i in range(2)]


@pytest.mark.parametrize('model_type', MODELS)
@pytest.mark.parametrize('tile', [9, 32])
def test_tiles_give_the_images_and_the_metric_of_the_whole(model_type, tile, tmp_path):
    whole, expected = psnr_and_pictures(build(model_type, {'metrics': PSNR}), tmp_path / 'whole')
    tiled, found = psnr_and_pictures(build(model_type, {'metrics': PSNR, 'tile': tile}), tmp_path / 'tiled')
    assert tiled == pytest.approx(whole, abs=1e-3)
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
def test_the_network_sees_one_tile_at_a_time():
    seen = []
    model = build(val={'tile': 16})
    model.net_g_ema.register_forward_pre_hook(lambda net, args: seen.append(args[0].shape[-2:]))
    model.validation(Loader(pictures(1, 200, 120)), 1, None)
    assert len(seen) == 13 * 8
    assert max(max(size) for size in seen) <= 16 + 2 * 32 + 2 * 8


@pytest.mark.slow
@pytest.mark.parametrize('tile', [7, 10])
def test_tiles_of_an_odd_side_suit_a_network_that_unshuffles_pixels(tile):
    torch.manual_seed(0)
    net = RRDBNet(3, 3, scale=2, num_feat=8, num_block=1, num_grow_ch=4).eval()
    image = torch.rand(1, 3, 100, 90, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(in_tiles(net, image, tile), net(image), rtol=1e-4, atol=1e-5)


def test_niqe_of_flat_images_is_nan_and_the_validation_continues(caplog):
    logging.getLogger('basicsr').addHandler(caplog.handler)
    model = build(val={'metrics': PSNR | NIQE})
    for parameter in model.net_g_ema.parameters():
        parameter.zero_()
    model.validation(Loader(pictures()), 1, None)
    assert math.isnan(model.metric_results['niqe'])
    assert not math.isnan(model.metric_results['psnr'])
    told = 'niqe has no value for 2 of 2 images, which are too flat or too small for it'
    assert [record.getMessage() for record in caplog.records if 'niqe has' in record.getMessage()] == [
        f'Validation held_out: {told}'
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_on_a_gpu_tiles_take_less_memory_and_gt_stays_on_the_cpu():
    peaks = []
    for tile in (0, 32):
        model = build(val={'tile': tile, 'metrics': PSNR}, num_gpu=1)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        model.validation(Loader(pictures(1, 400, 400)), 1, None)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 0.5 * peaks[0]


def test_gt_stays_on_the_cpu():
    model, fed = build(val={'metrics': PSNR}), []
    feed = model.feed_data
    model.feed_data = lambda data: (fed.append(set(data)), feed(data))
    model.validation(Loader(pictures()), 1, None)
    assert fed == [{'lq', 'lq_path'}] * 2
    assert model.metric_results['psnr'] > 0


def test_without_gt_only_metrics_that_do_not_need_it_are_computed(caplog):
    model = build(val={'metrics': PSNR | NIQE})
    model.feed_data(next(pictures()))  # the gt of a training step is not that of a validation picture
    logging.getLogger('basicsr').addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, 'basicsr'):
        model.validation(Loader(pictures(1, 100, 100, with_gt=False), 'own'), 1, None)
        assert set(model.metric_results) == {'niqe'}
        model.validation(Loader(pictures(1, 100, 100)), 1, None)
    assert 'Validation own: without gt there is no psnr' in caplog.text
    assert set(model.metric_results) == {'psnr', 'niqe'}
    assert model.best_metric_results['own']['niqe']['iter'] == 1


def test_the_images_of_a_training_step_are_freed_before_a_validation():
    model = build(val={})
    model.feed_data(next(pictures()))
    model.optimize_parameters(1)
    model.validation(Loader([]), 1, None)
    assert not {'lq', 'gt', 'output'} & vars(model).keys()
    model.feed_data(next(pictures()))
    model.optimize_parameters(2)


def test_the_modes_of_the_networks_are_restored():
    for ema_decay in (0, 0.9):
        model = build_model(model_opt(ema_decay=ema_decay) | {'val': {}})
        model.validation(Loader(pictures()), 1, None)
        assert model.net_g.training
        assert ema_decay == 0 or not model.net_g_ema.training
    model = build(is_train=False)
    model.net_g.eval()
    model.feed_data(default_collate([{'lq': torch.rand(3, 8, 8)}]))
    model.test()
    assert not model.net_g.training


@pytest.mark.parametrize('tile', [-1, 'big', 2.5, True])
def test_a_wrong_tile_is_one_sentence(tile):
    with pytest.raises(OptionError, match=r'val\.tile needs the side of a tile.* to be a whole number from 0'):
        build(val={'tile': tile}).validation(Loader(pictures()), 1, None)


def test_too_little_memory_names_the_key():
    def overflow(*_):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory')

    model = build()
    model.net_g_ema.forward = overflow
    with pytest.raises(OptionError, match=r'a validation image of 30x41 pixels; set val\.tile: 15'):
        model.validation(Loader(pictures()), 1, None)


@pytest.mark.slow
def test_training_and_testing_in_tiles_with_a_second_data_set_without_gt(tmp_path):
    path = write_option_file(
        tmp_path,
        val__tile=8,
        val__save_img=True,
        datasets__val_2={'name': 'own', 'type': 'LQFolderDataset', 'dataroot_lq': str(tmp_path / 'data/lq')},
    )
    code, output = train(path)
    assert code == 0, output
    assert 'Validation own: without gt there is no psnr' in output
    done = run_python(
        *('-m', 'basicsr_ganzoo.test', '-opt', path, '-m', 'experiments/gan_x4/models/net_g_latest.pth'), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    folders = {folder.name for folder in (tmp_path / 'results/gan_x4/visualization').iterdir()}
    assert folders == {'held_out', 'own'}
