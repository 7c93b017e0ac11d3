"""Degradation of Real-ESRGAN: kernels, presets, training-pair pool, and ``ganzoo show degradation``."""

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data.degradations import random_add_gaussian_noise_pt, random_add_poisson_noise_pt
from basicsr.data.realesrgan_dataset import RealESRGANDataset
from basicsr.utils import DiffJPEG, USMSharp, img2tensor, set_random_seed

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.degradations import kernels, pair_pool, presets, second_order
from basicsr_ganzoo.degradations.jpeg import JPEG
from basicsr_ganzoo.degradations.kernels import RandomKernels
from basicsr_ganzoo.degradations.noise import add_gaussian_noise, add_poisson_noise
from basicsr_ganzoo.degradations.pair_pool import TrainingPairPool
from basicsr_ganzoo.degradations.second_order import SecondOrderDegradation
from basicsr_ganzoo.errors import OptionError

# As in train_realesrgan_x4plus.yml of Real-ESRGAN.
PUBLISHED = yaml.safe_load("""
resize_prob: [0.2, 0.7, 0.1]
resize_range: [0.15, 1.5]
gaussian_noise_prob: 0.5
noise_range: [1, 30]
poisson_scale_range: [0.05, 3]
gray_noise_prob: 0.4
jpeg_range: [30, 95]
second_blur_prob: 0.8
resize_prob2: [0.3, 0.4, 0.3]
resize_range2: [0.3, 1.2]
gaussian_noise_prob2: 0.5
noise_range2: [1, 25]
poisson_scale_range2: [0.05, 2.5]
gray_noise_prob2: 0.4
jpeg_range2: [30, 95]
""")
PUBLISHED_KERNELS = yaml.safe_load("""
blur_kernel_size: 21
kernel_list: ['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso']
kernel_prob: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
sinc_prob: 0.1
blur_sigma: [0.2, 3]
betag_range: [0.5, 4]
betap_range: [1, 2]
blur_kernel_size2: 21
kernel_list2: ['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso']
kernel_prob2: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
sinc_prob2: 0.1
blur_sigma2: [0.2, 1.5]
betag_range2: [0.5, 4]
betap_range2: [1, 2]
final_sinc_prob: 0.8
""")


def smooth_image(height=96, width=96, batch=1, seed=0):
    """Smooth random images (N, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, height // 8, width // 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode='bicubic').clamp(0, 1)


def degrade(gt, preset='real', scale=4, seed=0):
    draw, degradation = RandomKernels({'degradation': preset}).draw, {'degradation': preset, 'scale': scale}
    set_random_seed(seed)
    drawn = [draw() for _ in gt]
    return SecondOrderDegradation(degradation)(gt, **{key: torch.stack([k[key] for k in drawn]) for key in drawn[0]})


# ---------------------------------------------------------------- kernels


def test_kernels_equal_those_of_the_dataset_of_basicsr_with_the_same_seed(tmp_path):
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((400, 400, 3), np.uint8))  # at this size the crop is not random
    (tmp_path / 'meta.txt').write_text('0.png\n')
    paths = {'dataroot_gt': str(tmp_path), 'meta_info': str(tmp_path / 'meta.txt'), 'io_backend': {'type': 'disk'}}
    stock = RealESRGANDataset(PUBLISHED_KERNELS | paths | {'use_hflip': False, 'use_rot': False})
    ours = RandomKernels(PUBLISHED_KERNELS | paths)
    set_random_seed(0)
    expected = [stock[0] for _ in range(30)]
    set_random_seed(0)
    for sample in expected:
        drawn = ours.draw()
        assert list(drawn) == ['kernel1', 'kernel2', 'sinc_kernel']
        for name, kernel in drawn.items():
            assert torch.equal(kernel, sample[name])
            assert kernel.dtype == torch.float32
            assert kernel.shape == (21, 21)
            assert kernel.sum() == pytest.approx(1, abs=1e-5)


# ---------------------------------------------------------------- the degradation


@pytest.mark.parametrize(('scale', 'height', 'width'), [(1, 74, 75), (2, 90, 74), (3, 75, 90), (4, 76, 96)])
def test_lq_is_of_8_bit_and_scale_times_smaller(scale, height, width):
    lq = degrade(smooth_image(height, width, batch=2), scale=scale)
    assert lq.shape == (2, 3, height // scale, width // scale)
    assert 0 <= lq.min() < lq.max() <= 1
    torch.testing.assert_close(lq * 255, (lq * 255).round(), rtol=0, atol=1e-4)


def test_lq_depends_on_the_seed():
    gt = smooth_image(batch=2)
    assert torch.equal(degrade(gt, seed=1), degrade(gt, seed=1))
    assert not torch.equal(degrade(gt, seed=1), degrade(gt, seed=2))


def test_the_images_of_a_batch_are_degraded_independently():
    gt = smooth_image().expand(2, -1, -1, -1)
    lq = degrade(gt)
    assert not torch.equal(lq[0], lq[1])


def test_moving_a_degradation_does_not_move_other_jpegs_of_basicsr():
    SecondOrderDegradation({'degradation': 'real', 'scale': 4}).double()
    assert all(p.dtype == torch.float32 for p in DiffJPEG(differentiable=False).parameters())


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((1, 3, 72, 96), 'at least 74 and multiples of the scale 4, got 72x96'),
        ((1, 3, 96, 98), 'multiples of the scale 4, got 96x98'),
        ((1, 1, 96, 96), 'needs images with 3 channels, because of JPEG, got 1'),
    ],
)
def test_images_that_cannot_be_degraded_are_refused(shape, expected):
    with pytest.raises(OptionError, match=expected):
        degrade(torch.rand(shape))


def test_the_minimum_size_works():
    degradation = SecondOrderDegradation({'degradation': 'real', 'scale': 1})
    pulse = torch.zeros(1, 21, 21)
    pulse[:, 10, 10] = 1
    for seed in range(10):
        set_random_seed(seed)
        gt = torch.rand(1, 3, degradation.min_size, degradation.min_size)
        assert degradation(gt, pulse, pulse, pulse).shape == gt.shape


# ---------------------------------------------------------------- options and presets


def as_lists(values):
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def test_the_preset_real_has_the_published_parameters():
    published = {k: v for k, v in (PUBLISHED | PUBLISHED_KERNELS).items() if not k.startswith('blur_kernel_size')}
    assert as_lists(presets.REAL) == published
    assert as_lists(presets.settings({'degradation': 'real'}, second_order.KEYS)) == PUBLISHED
    assert set(second_order.KEYS) | set(kernels.KEYS) == set(presets.REAL)


def test_the_ranges_of_weaker_presets_are_within_those_of_stronger_ones():
    for weak, strong in ((presets.MILD, presets.MEDIUM), (presets.MEDIUM, presets.REAL)):
        for key, value in weak.items():
            if 'range' in key or 'sigma' in key:
                assert strong[key][0] <= value[0] <= value[1] <= strong[key][1], key


def test_presets_increase_in_strength():
    gt = smooth_image(batch=4)
    small = torch.nn.functional.interpolate(gt, scale_factor=1 / 4, mode='area')
    errors = [
        torch.stack([(degrade(gt, preset, seed=seed) - small).square().mean() for seed in range(12)]).mean()
        for preset in ('mild', 'medium', 'real')
    ]
    assert 0 < 1.3 * errors[0] < errors[1]
    assert 1.3 * errors[1] < errors[2]


def test_explicit_keys_override_the_preset_and_a_null_key_does_not():
    opt = {'degradation': 'mild', 'jpeg_range': [10, 20], 'noise_range': None}
    values = presets.settings(opt, second_order.KEYS)
    assert values.pop('jpeg_range') == [10, 20]
    assert values == {key: presets.MILD[key] for key in second_order.KEYS if key != 'jpeg_range'}


def without(key):
    return {k: v for k, v in (PUBLISHED | PUBLISHED_KERNELS).items() if k != key}


REAL = {'degradation': 'real'}
MISTAKES = {
    'unknown preset': ({'degradation': 'medum'}, 'did you mean medium'),
    'no parameters': ({}, 'the degradation lacks resize_prob; set it, or a preset, such as degradation: real'),
    'a missing key': (without('noise_range2'), 'lacks noise_range2'),
    'misspelt beside a preset': (REAL | {'jpeg_rang': [30, 95]}, 'no option jpeg_rang (did you mean jpeg_range?)'),
    'misspelt among all': (without('second_blur_prob') | {'second_blur_prb': 1}, 'did you mean second_blur_prob'),
    'probability above 1': (REAL | {'gray_noise_prob': 40}, 'gray_noise_prob to be a number from 0 to 1, got 40'),
    'number as text': (REAL | {'second_blur_prob': '8e-1'}, "got '8e-1'"),
    'two probabilities': (REAL | {'resize_prob': [0.5, 0.5]}, 'three probabilities: up, down and keep'),
    'descending range': (REAL | {'noise_range': [30, 1]}, 'noise_range to be [low, high]'),
    'resize without 1': (REAL | {'resize_range2': [0.3, 0.8]}, '0 < low <= 1 <= high, got [0.3, 0.8]'),
    'JPEG quality 0': (REAL | {'jpeg_range': [0, 95]}, '0 < low < 100'),
    'scale as text': (REAL | {'scale': '4'}, "scale to be a whole number from 1, got '4'"),
    'unknown kernel': (REAL | {'kernel_list': ['skew'], 'kernel_prob': [1]}, "got ['skew']"),
    'too few probabilities': (REAL | {'kernel_prob2': [1]}, 'one probability for each entry of kernel_list2'),
    'one sigma': (REAL | {'blur_sigma': [1, 1]}, 'blur_sigma to be [low, high] with 0 < low < high'),
    'misspelt for kernels': (REAL | {'blur_sigm': [0.2, 1]}, 'did you mean blur_sigma'),
    'a kernel of another side': (REAL | {'blur_kernel_size': 15}, 'blur_kernel_size is always 21'),
}


def build_both(opt):
    SecondOrderDegradation({'scale': 4} | opt)
    RandomKernels(opt)


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_in_the_parameters_is_one_sentence(mistake):
    opt, expected = MISTAKES[mistake]
    with pytest.raises(OptionError) as caught:
        build_both(opt)
    assert expected in str(caught.value)
    assert '\n' not in str(caught.value)


# ---------------------------------------------------------------- training-pair pool


def pairs(count, start=0):
    """Pairs with sides of 1 and 2 pixels, whose values are their index."""
    index = torch.arange(start, start + count, dtype=torch.float32).view(-1, 1, 1, 1)
    return index, index.expand(-1, 1, 2, 2) * 10


@pytest.mark.parametrize(
    ('queue_size', 'batch', 'held'), [(180, 12, 180), (180, 7, 175), (4, 3, 3), (2, 5, 5), (1, 1, 1)]
)
def test_the_pool_works_with_any_batch_size_and_neither_loses_nor_repeats_pairs(queue_size, batch, held):
    pool, out = TrainingPairPool(queue_size), []
    steps = 2 * held // batch + 2
    for step in range(steps):
        lq, gt = pool(*pairs(batch, step * batch))
        assert torch.equal(gt, lq.expand_as(gt) * 10)
        assert len(lq) == batch
        if step * batch < held:
            assert torch.equal(lq, pairs(batch, step * batch)[0])
        else:
            out.extend(lq.flatten().tolist())
    assert len(pool.lq) == pool.capacity(batch) == held
    assert sorted(out + pool.lq.flatten().tolist()) == list(range(steps * batch))


def test_the_pool_logs_that_it_rounds(monkeypatch):
    class Logger(list):
        info = list.append

    logger = Logger()
    monkeypatch.setattr(pair_pool, 'get_root_logger', lambda: logger)
    pool = TrainingPairPool(180)
    pool(*pairs(8))
    pool(*pairs(8))
    TrainingPairPool(180)(*pairs(12))
    assert logger == ['queue_size 180 is not a multiple of the batch size 8: the pool of training pairs holds 176']


def test_the_pool_resumes_from_its_saved_state_even_with_another_batch_size():
    pool = TrainingPairPool(8)
    for step in range(5):
        pool(*pairs(2, 2 * step))
    resumed = TrainingPairPool(8)
    resumed.load_state_dict(pool.state_dict())
    for batch in (2, 2, 4, 3, 16):
        outs = []
        for each in (pool, resumed):
            torch.manual_seed(0)
            outs.append(each(*pairs(batch, 100)))
        assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))
        assert len(outs[0][0]) == batch


def test_an_empty_state_empties_the_pool():
    pool = TrainingPairPool(4)
    pool(*pairs(2))
    pool.load_state_dict(TrainingPairPool(4).state_dict())
    assert pool.lq is None


@pytest.mark.parametrize('queue_size', [0, -4, 1.5, '180', None])
def test_a_wrong_queue_size_is_refused(queue_size):
    with pytest.raises(OptionError, match='queue_size needs to be a whole number from 1'):
        TrainingPairPool(queue_size)


# ---------------------------------------------------------------- ganzoo show degradation


@pytest.fixture
def option_file(tmp_path):
    def write(**changes):
        opt = {
            'name': 'test',
            'model_type': 'RealESRGANZooModel',
            'scale': 4,
            'num_gpu': 0,
            'gt_size': 64,
            'degradation': 'medium',
            'datasets': {
                'train': {
                    'type': 'RealESRGANDataset',
                    'degradation': 'medium',
                    'batch_size_per_gpu': 1,
                    'num_worker_per_gpu': 0,
                }
            },
            'network_g': {'type': 'MSRResNet'},
            'path': {},
            'train': {'total_iter': 1},
            'logger': {'print_freq': 1, 'save_checkpoint_freq': 1},
        }
        path = tmp_path / 'option.yml'
        path.write_text(yaml.safe_dump(opt | changes))
        return path

    return write


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'image.png'
    rgb = (smooth_image(120, 90)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    cv2.imwrite(str(path), rgb[:, :, ::-1])
    return path


def show_degradation(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(['show', 'degradation', *map(str, args)])
    return stopped.value.code or 0, capsys.readouterr()


@pytest.mark.parametrize(('count', 'rows', 'columns'), [(1, 1, 2), (4, 2, 3), (8, 3, 3)])
def test_the_sheet_starts_with_gt_and_has_the_size_of_its_images(
    count, rows, columns, option_file, image, tmp_path, capsys
):
    out = tmp_path / 'new' / 'sheet.png'
    code, printed = show_degradation(
        capsys, '-opt', option_file(), '--image', image, '--out', out, '--count', count, '--seed', 3
    )
    assert (code, printed.err) == (0, '')
    assert f'{count} low-quality images at scale 4' in printed.out
    sheet = cv2.imread(str(out))
    assert sheet.shape == (rows * 68 - 4, columns * 68 - 4, 3)
    middle = cv2.imread(str(image))[16:104, 1:89][12:76, 12:76]
    assert np.array_equal(sheet[:64, :64], middle)


@pytest.mark.parametrize(
    ('changes', 'sharpened'),
    [
        ({}, True),
        ({'model_type': 'RealESRNetZooModel'}, True),
        ({'model_type': 'RealESRNetModel', 'gt_usm': False}, False),
    ],
)
def test_the_sheet_shows_the_training_data_of_the_model(changes, sharpened, option_file, image, tmp_path, capsys):
    show_degradation(
        capsys, '-opt', option_file(**changes), '--image', image, '--out', tmp_path / 's.png', '--count', 1
    )
    gt = img2tensor(cv2.imread(str(image))[16:104, 1:89] / 255.0).unsqueeze(0)
    lq = degrade(USMSharp()(gt) if sharpened else gt, 'medium', seed=0)
    enlarged = lq[0].repeat_interleave(4, 1).repeat_interleave(4, 2)[:, 12:76, 12:76]
    shown = torch.from_numpy(cv2.imread(str(tmp_path / 's.png'))[:, 68:, ::-1].copy()).permute(2, 0, 1)
    torch.testing.assert_close(shown.float(), enlarged * 255, rtol=0, atol=1e-3)


def test_the_sheet_depends_on_the_seed(option_file, image, tmp_path, capsys):
    sheets = []
    for seed in (1, 1, 2):
        show_degradation(
            capsys, '-opt', option_file(), '--image', image, '--out', tmp_path / 's.png', '--count', 2, '--seed', seed
        )
        sheets.append((tmp_path / 's.png').read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


SHEET_MISTAKES = {
    'no option file': ({}, ('-opt', None), 'needs an option file and an image: -opt FILE --image IMAGE'),
    'no image': ({}, ('--image', None), 'needs an option file and an image: -opt FILE --image IMAGE'),
    'missing option file': ({}, ('-opt', 'no.yml'), '-opt names no file: no.yml'),
    'missing image': ({}, ('--image', 'no.png'), '--image cannot be read as an image: no.png'),
    'a file that is not an image': ({}, ('--image', __file__), '--image cannot be read as an image'),
    'an image that is too small': (
        {'gt_size': 96},
        (),
        '--image is 120x90 pixels; gt_size and degradation need at least 96x96',
    ),
    'no gt_size': ({'gt_size': None}, (), 'gt_size, at the top level'),
    'a count of 0': ({}, ('--count', 0), '--count needs to be at least 1, got 0'),
    'paired training': ({'high_order_degradation': False}, (), 'trains on pairs'),
    'unknown format': ({}, ('--out', 'sheet.xyz'), '--out cannot be written to sheet.xyz'),
    'unknown preset': ({'degradation': 'strong'}, (), "mild, medium, real, got 'strong'"),
    'another preset for the kernels': ({'degradation': 'mild'}, (), 'is mild at the top level but medium in datasets'),
}


@pytest.mark.parametrize('mistake', SHEET_MISTAKES)
def test_a_mistake_with_the_sheet_is_one_sentence_and_exit_code_1(mistake, option_file, image, tmp_path, capsys):
    changes, argument, expected = SHEET_MISTAKES[mistake]
    arguments = {'-opt': option_file(**changes), '--image': image, '--out': tmp_path / 's.png', '--count': 1}
    arguments |= dict([argument] if argument else [])
    pairs_of_words = [(flag, value) for flag, value in arguments.items() if value is not None]
    code, printed = show_degradation(capsys, *(word for pair in pairs_of_words for word in pair))
    assert code == 1
    assert expected in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / 's.png').exists()


NOISES = {
    'gaussian': (random_add_gaussian_noise_pt, add_gaussian_noise, (1, 30)),
    'poisson': (random_add_poisson_noise_pt, add_poisson_noise, (0.05, 3)),
}


@pytest.mark.parametrize('kind', NOISES)
@pytest.mark.parametrize('levels', [1, 2, 3, 5, 128, 129, 256])
@pytest.mark.parametrize('gray_prob', [0.0, 0.5, 1.0])
def test_noise_is_bit_equal_to_that_of_basicsr_for_any_number_of_levels(kind, levels, gray_prob):
    stock, ours, bounds = NOISES[kind]
    shades = torch.randperm(256, generator=torch.Generator().manual_seed(levels))[:levels]
    images = shades[torch.arange(4 * 3 * 16 * 16).view(4, 3, 16, 16) % levels] / 255
    torch.manual_seed(1)
    expected = stock(images, bounds, gray_prob=gray_prob), torch.rand(1)
    torch.manual_seed(1)
    assert all(map(torch.equal, (ours(images, bounds, gray_prob), torch.rand(1)), expected))


@pytest.mark.parametrize('quality', [(1.0, 100.0), (49.0, 51.0)])
@pytest.mark.parametrize('size', [(32, 32), (33, 47)])
def test_jpeg_is_bit_equal_to_that_of_basicsr(quality, size):
    torch.manual_seed(0)
    images, qualities = torch.rand(4, 3, *size), torch.empty(4).uniform_(*quality)
    expected = DiffJPEG(differentiable=False)(images, quality=qualities.clone())
    assert torch.equal(JPEG()(images, qualities), expected)
