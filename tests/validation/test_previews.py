"""Preview strips: what is in them, where they go, and that nothing of them changes training."""

import cv2
import numpy as np
import pytest
import torch
from _runs import train as train_apart
from _training import SCALE, batches, model_opt, write_option_file
from basicsr.models import build_model
from basicsr.utils import tensor2img
from test_validation import Loader, pictures

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.validation.previews import BAR, GAP, SIDE


class Board:
    """A TensorBoard writer that keeps images."""

    def __init__(self):
        self.images = {}

    def add_image(self, tag, image, iteration, dataformats):
        assert dataformats == 'HWC'
        self.images[tag, iteration] = image


def build(folder, preview=1, **changes):
    torch.manual_seed(0)
    path = {'visualization': str(folder)}
    return build_model(model_opt() | {'val': {'preview': preview}, 'path': path} | changes)


def train(model, first, last):
    for iteration, batch in enumerate(batches(last - first + 1, 32, seed=first), start=first):
        model.feed_data(batch)
        model.optimize_parameters(iteration)


def parts(file, width, height):
    """The pictures of a strip."""
    image = cv2.imread(str(file))
    count = (image.shape[1] + GAP) // (width + GAP)
    assert image.shape == (height + BAR, count * (width + GAP) - GAP, 3)
    return [image[BAR:, i * (width + GAP) : i * (width + GAP) + width] for i in range(count)]


def made_by(model, lq):
    with torch.no_grad():
        return tensor2img([model.net_g_ema(lq)])


def test_a_strip_shows_lq_the_start_now_and_gt(tmp_path):
    model, board = build(tmp_path), Board()
    (data,) = pictures(1)
    start = made_by(model, data['lq'])
    for iteration in (3, 6):
        train(model, iteration - 2, iteration)
        model.validation(Loader([data]), iteration, board)
        file = tmp_path / f'preview/held_out/000_0_{iteration}.png'
        lq, first, now, gt = parts(file, 41 * SCALE, 30 * SCALE)
        assert np.array_equal(lq[::SCALE, ::SCALE], tensor2img([data['lq']]))
        assert np.array_equal(first, start)
        assert np.array_equal(now, made_by(model, data['lq']))
        assert not np.array_equal(now, start)
        assert np.array_equal(gt, tensor2img([data['gt']]))
        assert np.array_equal(board.images['preview/held_out/000_0', iteration], cv2.imread(str(file))[..., ::-1])


def test_each_data_set_has_the_requested_number_of_strips_also_without_gt_or_average(tmp_path):
    model = build(tmp_path, preview=2, **model_opt(ema_decay=0) | {'path': {'visualization': str(tmp_path)}})
    model.opt['val'] = {'preview': 2}
    model.init_validation()
    model.validation(Loader(pictures(3)), 1, None)
    model.validation(Loader(pictures(3, with_gt=False), 'own'), 1, None)
    assert len(list((tmp_path / 'preview/held_out').glob('*_1.png'))) == 2
    assert len(parts(tmp_path / 'preview/held_out/001_1_1.png', 41 * SCALE, 30 * SCALE)) == 4
    assert len(parts(tmp_path / 'preview/own/001_1_1.png', 41 * SCALE, 30 * SCALE)) == 3


def test_a_large_image_is_cropped_to_its_middle(tmp_path):
    model = build(tmp_path)
    (data,) = pictures(1, height=40, width=SIDE // SCALE + 20)
    model.validation(Loader([data]), 1, None)
    gt = parts(tmp_path / 'preview/held_out/000_0_1.png', SIDE, 40 * SCALE)[3]
    assert np.array_equal(gt, tensor2img([data['gt']])[:, 40 : 40 + SIDE])


def test_a_resumed_run_has_the_start_of_the_first_part_and_another_run_has_its_own(tmp_path):
    (data,) = pictures(1)
    first = build(tmp_path)
    start = made_by(first, data['lq'])
    first.validation(Loader([data]), 1, None)
    for resume_state, same in (('some.state', True), (None, False)):
        model = build(tmp_path, path={'visualization': str(tmp_path), 'resume_state': resume_state})
        train(model, 1, 3)
        model.init_validation()  # as if it had been built from what it is now
        model.validation(Loader([data]), 3, None)
        shown = parts(tmp_path / 'preview/held_out/000_0_3.png', 41 * SCALE, 30 * SCALE)[1]
        assert np.array_equal(shown, start) == same


def test_previews_do_not_change_the_training(tmp_path):
    states = []
    for preview in (0, 2):
        model = build(tmp_path, preview)
        for iteration in (2, 4):
            train(model, iteration - 1, iteration)
            model.validation(Loader(pictures()), iteration, None)
        states.append([*model.net_g.state_dict().values(), *model.net_g_ema.state_dict().values(), torch.rand(3)])
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    assert model.previews.weights is None  # not held after the first validation


@pytest.mark.parametrize('preview', [-1, 'all', 1.5])
def test_a_value_that_is_no_whole_number_is_one_sentence(preview, tmp_path):
    with pytest.raises(OptionError, match=r'val\.preview needs the number of images to be a whole number from 0'):
        build(tmp_path, preview)


@pytest.mark.slow
def test_a_run_writes_strips_to_its_folder_and_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = write_option_file(tmp_path, val__preview=2, logger__use_tb_logger=True)
    code, output = train_apart(path)
    assert code == 0, output
    folder = tmp_path / 'experiments/gan_x4/visualization/preview/held_out'
    first, second = sorted(file.stem.removesuffix('_start') for file in folder.glob('*_start.png'))
    assert (first[:4], second[:4]) == ('000_', '001_')
    written = {f'{name}_{at}.png' for name in (first, second) for at in ('start', 4)}
    assert {file.name for file in folder.iterdir()} == written
    events = EventAccumulator(str(next(tmp_path.glob('tb_logger/*'))), {'images': 0}).Reload()
    assert events.Tags()['images'] == [f'preview/held_out/{first}', f'preview/held_out/{second}']
