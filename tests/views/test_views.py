"""The views: contract tests for every registered one, then images for which the result is known."""

import math

import numpy as np
import pytest
import torch
from _products import product
from basicsr.utils.color_util import rgb2ycbcr
from skimage import data
from torch.nn import functional as F

from basicsr_ganzoo.engine.cost import FlopCounter
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.registry import entries
from basicsr_ganzoo.views._filters import correlate, mirror
from basicsr_ganzoo.views.wavelet import BANDS, SCALING, luma, wavelet_filters

VIEWS = entries('views')
#: arguments, in addition to the defaults, with which the contract tests build a view
VARIANTS = {
    'HighPassView': [{'sigma': 3}, {'sigma': 0.5, 'gain': 4}],
    'GradientView': [{'operator': 'sobel'}, {'output': 'components'}, {'output': 'components', 'operator': 'sobel'}],
    'WaveletView': [
        {'luma': False, 'wavelet': 'haar'},
        {'luma': False, 'level': 2, 'bands': ['LL', 'HH']},
        {'luma': False, 'wavelet': 'db2', 'level': 2, 'stationary': False, 'bands': ['LH', 'LL']},
        {'wavelet': 'sym4', 'level': 3, 'stationary': False},
    ],
    'ScaleView': [{'factor': 1}, {'factor': 1.5}, {'factor': 4}],
    'DiffAugmentView': [
        {'probability': 0},
        {'probability': 0.5, 'colour': 0.5},
        {'colour': 1, 'cutout': 0},
        {'flips': False},
    ],
}
CASES = [(name, kwargs) for name in VIEWS for kwargs in ({}, *VARIANTS.get(name, []))]
#: cases whose result has a random subset of the pixels
RANDOM = [case for case in CASES if case[0] == 'DiffAugmentView']


def named(case):
    name, kwargs = case
    return f'{name}({", ".join(f"{key}={value}" for key, value in kwargs.items())})'


def over(cases):
    return pytest.mark.parametrize('case', cases, ids=named)


def build(case):
    name, kwargs = case
    return VIEWS[name](**kwargs)


def random_image(*shape, seed=3, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def photograph(name='astronaut', size=None):
    """One of scikit-image's photographs, as (1, 3, H, W) in 0 to 1."""
    image = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)[None].double() / 255
    return image[..., :size, :size]


def pattern(formula, height=40, width=48):
    """A grey image (1, 1, H, W) from a formula of x and y."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (height, width)), indexing='ij')
    return (formula(x, y) + torch.zeros(height, width, dtype=torch.float64))[None, None]


def result_of(view, image):
    (result,) = view(image)
    return result


def inside(image, border=12):
    return image[..., border:-border, border:-border]


def accepts(view, num_in_ch):
    try:
        view.out_channels(num_in_ch)
    except OptionError:
        return False
    return True


# ------------------------------------------------------------------ contract


@product(('case', 'channels'), CASES, [1, 3, 4], ids=str)
def test_out_channels_and_any_size_from_the_smallest(case, channels):
    view = build(case)
    if not accepts(view, channels):
        assert view.luma
        return
    for size in ((1, 1), (1, 2), (5, 1), (31, 20), (32, 48)):
        image = random_image(2, channels, *(max(view.min_size, side) for side in size))
        result = result_of(view, image)
        assert result.shape[:2] == (2, view.out_channels(channels))
        assert result.isfinite().all()
        assert result.shape == result_of(view, image.to('meta')).shape


@product(('case', 'dtype'), CASES, [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_result_has_the_type_of_the_image_and_loses_no_more_than_its_rounding(case, dtype):
    view, image = build(case), random_image(2, 3, 24, 24).to(dtype)
    torch.manual_seed(0)
    result = result_of(view, image)
    torch.manual_seed(0)
    exact = result_of(view, image.double())
    assert result.dtype == dtype
    rounding = max(torch.finfo(dtype).eps, 1e-15) * exact.abs() + 1e-6 * abs(getattr(view, 'gain', 1))
    assert ((result.double() - exact).abs() <= rounding).all()


@over(CASES)
def test_autocast_changes_nothing(case):
    view, image = build(case), random_image(2, 3, 24, 24)
    torch.manual_seed(0)
    expected = result_of(view, image)
    torch.manual_seed(0)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(result_of(view, image), expected)


@over(CASES)
def test_real_and_fake_are_transformed_alike(case):
    view, image = build(case), random_image(4, 3, 24, 24)
    real, fake = view(image, image.clone())
    assert torch.equal(real, fake)


@over(CASES)
def test_the_same_seed_gives_the_same_view(case):
    view, image = build(case), random_image(4, 3, 24, 24)
    torch.manual_seed(5)
    first = result_of(view, image)
    torch.manual_seed(5)
    assert torch.equal(result_of(view, image), first)


@over(CASES)
def test_a_view_has_no_parameters_no_state_and_no_counted_flops(case):
    view, image = build(case), random_image(2, 3, 24, 24)
    assert not list(view.parameters())
    assert not view.state_dict()
    with FlopCounter() as counter:
        view(image)
    assert counter.total == 0


@over([case for case in CASES if case not in RANDOM])
def test_the_gradient_reaches_every_pixel(case):
    view, image = build(case), random_image(2, 3, 21, 26, dtype=torch.float64).requires_grad_()
    result = result_of(view, image)
    weights = random_image(*result.shape, seed=7, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((result * weights).sum(), image)
    assert (gradient != 0).all()


@over(RANDOM)
def test_the_gradient_reaches_the_pixels_of_the_result(case):
    view = VIEWS[case[0]](**{**case[1], 'colour': 0})
    places = torch.arange(3.0 * 20 * 20).view(1, 3, 20, 20) + 1
    image = places.repeat(8, 1, 1, 1).requires_grad_()
    result = result_of(view, image)
    (gradient,) = torch.autograd.grad(result.sum(), image)
    for sample, reached in zip(result, gradient, strict=True):
        assert set(places[0][reached != 0].tolist()) == set(sample[sample != view.fill].tolist())


@over(CASES)
def test_gradient_is_that_of_finite_differences(case):
    view, image = build(case), random_image(2, 3, 9, 9, dtype=torch.float64).requires_grad_()

    def seeded(x):
        torch.manual_seed(1)
        return result_of(view, x)

    assert torch.autograd.gradcheck(seeded, image, fast_mode=True)


@over(CASES)
def test_a_discriminator_after_the_view_has_a_gradient_for_g(case):
    view = build(case)
    torch.manual_seed(0)
    net_d = entries('archs')['PatchGANDiscriminator'](view.out_channels(3), num_feat=4, num_layers=1)
    fake = random_image(2, 3, 64, 64).requires_grad_()
    _, seen = view(random_image(2, 3, 64, 64, seed=4), fake)
    (gradient,) = torch.autograd.grad(net_d(seen).mean(), fake)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize('name', VIEWS)
def test_the_docstring_gives_range_cost_and_shape(name):
    for word in ('Shape:', 'Range:', 'Cost:', 'On photographs', 'arXiv:'):
        assert word in VIEWS[name].__doc__


@pytest.mark.parametrize('photo', ['astronaut', 'coffee', 'chelsea'])
@over(
    [
        ('HighPassView', {'gain': 4}),
        ('GradientView', {'gain': 2}),
        ('GradientView', {'gain': 2, 'output': 'components'}),
        ('WaveletView', {'gain': 12}),
        ('ScaleView', {}),
        ('DiffAugmentView', {}),
    ]
)
def test_the_documented_gain_scales_photographs_to_the_range_of_rgb(case, photo):
    torch.manual_seed(0)
    image = photograph(photo)
    assert 0.25 < result_of(build(case), image).std() / image.std() < 1.5


# ------------------------------------------------------------------ mistakes


@product(('case', 'shape'), CASES, [(3, 24, 24), (24, 24)], ids=str)
def test_an_image_without_batch_is_refused(case, shape):
    with pytest.raises(OptionError, match=rf'{case[0]} needs images of shape \(N, C, H, W\), got '):
        build(case)(random_image(*shape))


@over(CASES)
def test_real_and_fake_of_two_shapes_are_refused(case):
    with pytest.raises(OptionError, match='needs real and fake of one shape, .*24, 24.*24, 25'):
        build(case)(random_image(2, 3, 24, 24), random_image(2, 3, 24, 25))


@over([case for case in CASES if build(case).min_size > 1])
def test_an_error_names_the_size_and_the_rule_below_the_smallest(case):
    view = build(case)
    small = view.min_size - 1
    with pytest.raises(OptionError, match=f'{case[0]} needs H and W >= {view.min_size}, got {small}x30'):
        view(random_image(1, 3, small, 30))


@pytest.mark.parametrize('use', [lambda view: view.out_channels(1), lambda view: view(random_image(1, 1, 8, 8))])
def test_luma_of_a_grey_image_is_refused(use):
    with pytest.raises(OptionError, match='luma: true needs an RGB image, got 1 channels'):
        use(VIEWS['WaveletView']())


@pytest.mark.parametrize(
    ('name', 'kwargs', 'message'),
    [
        ('HighPassView', {'sigma': 0}, 'sigma to be a number from 0.1 to 100, got 0'),
        ('HighPassView', {'sigma': 1e9}, 'sigma to be a number from 0.1 to 100, got 1000000000.0'),
        ('HighPassView', {'gain': '4'}, "gain to be a number, got the text '4'"),
        ('GradientView', {'output': 'component'}, 'did you mean components'),
        ('GradientView', {'operator': 'prewitt'}, 'one of central, sobel'),
        ('GradientView', {'epsilon': 0}, 'epsilon to be a number of at least 1e-06, got 0'),
        ('WaveletView', {'wavelet': 'sym'}, 'did you mean sym'),
        ('WaveletView', {'level': 0}, 'level to be a whole number from 1 to 8, got 0'),
        ('WaveletView', {'level': 30}, 'level to be a whole number from 1 to 8, got 30'),
        ('WaveletView', {'luma': 'no'}, "luma to be true or false, got 'no'"),
        ('WaveletView', {'stationary': 'no'}, "stationary to be true or false, got 'no'"),
        ('WaveletView', {'bands': 3}, 'bands to be a list, each item one of LL, LH, HL, HH, got 3'),
        ('WaveletView', {'bands': 'LH'}, "bands to be a list, each item one of LL, LH, HL, HH, got 'LH'"),
        ('WaveletView', {'bands': ['LH', 'H']}, 'bands to be a list, each item one of LL, LH, HL, HH'),
        ('WaveletView', {'bands': []}, 'name each band once'),
        ('WaveletView', {'bands': ['HH', 'HH']}, 'name each band once'),
        ('ScaleView', {'factor': 0.5}, 'factor to be a number of at least 1, got 0.5'),
        ('DiffAugmentView', {'probability': 1.1}, 'probability to be a number from 0 to 1, got 1.1'),
        ('DiffAugmentView', {'colour': True}, 'colour to be a number from 0 to 1, got True'),
        ('DiffAugmentView', {'flips': 'no'}, "flips to be true or false, got 'no'"),
    ],
)
def test_a_wrong_argument_is_refused(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        VIEWS[name](**kwargs)


# ------------------------------------------------------------------ filters


@pytest.mark.parametrize('size', [1, 2, 5, 30])
def test_mirror_repeats_the_border_like_numpy_symmetric(size):
    row = torch.arange(float(size)).view(1, 1, 1, size)
    there_and_back = torch.cat([row, row.flip(3)], 3).repeat(1, 1, 1, 20)
    extended = mirror(row, 3, 2 * size, 13)
    assert torch.equal(extended, there_and_back[..., : 2 * size + size + 13])
    assert torch.equal(mirror(row.mT, 2, 3, 4).mT, mirror(row, 3, 3, 4))


@pytest.mark.parametrize('steps', [{}, {'dilation': 3}, {'stride': 2}])
@pytest.mark.parametrize('taps', [[0.5, 0.25], [1.0, -2.0, 3.0], [0.1, 0.2, 0.3, 0.4]])
def test_correlate_is_a_convolution_in_the_inside(steps, taps):
    image = random_image(2, 3, 40, 40, dtype=torch.float64)
    kernel = torch.tensor(taps, dtype=torch.float64).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    options = {key: (1, value) for key, value in steps.items()}
    plain = F.conv2d(image, kernel, groups=3, **options)
    ours = correlate(image, taps, 3, **steps)
    stride = steps.get('stride', 1)
    before = ((len(taps) - 1) * steps.get('dilation', 1) - (stride - 1)) // 2
    assert ours.shape == (2, 3, 40, 40 // stride)
    if before % stride == 0:
        start = before // stride
        torch.testing.assert_close(ours[..., start : start + plain.shape[3]], plain)
    torch.testing.assert_close(correlate(image.mT, taps, 2, **steps).mT, ours)


DETAILS = [case for case in CASES if case[0] in ('HighPassView', 'GradientView', 'WaveletView')]


@over([case for case in DETAILS if 'LL' not in case[1].get('bands', ())])
def test_a_flat_image_gives_zero(case):
    flat = torch.tensor([0.2, 0.9, 0.4], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 23, 30)
    assert result_of(build(case), flat).abs().max() < 1e-11


@over([case for case in DETAILS if case[1].get('stationary', True)])
def test_a_shifted_image_gives_a_shifted_result(case):
    view, image = build(case), random_image(1, 3, 80, 80, dtype=torch.float64)
    shifted = result_of(view, image.roll((3, 5), (2, 3)))
    torch.testing.assert_close(inside(shifted, 30), inside(result_of(view, image).roll((3, 5), (2, 3)), 30))


@over([case for case in DETAILS if case[0] == 'GradientView'] + [('HighPassView', {})])
def test_gain_is_a_factor(case):
    image = random_image(1, 3, 20, 20, dtype=torch.float64)
    stronger = VIEWS[case[0]](**{**case[1], 'gain': 3})
    torch.testing.assert_close(result_of(stronger, image), 3 * result_of(build(case), image))


# ------------------------------------------------------------------ high-pass


@pytest.mark.parametrize('sigma', [1, 1.5, 3])
@pytest.mark.parametrize('frequency', [0.02, 0.05, 0.125, 0.3, 0.5])
def test_high_pass_of_a_sine_is_1_minus_the_gaussian_of_its_frequency(sigma, frequency):
    sine = pattern(lambda x, y: torch.cos(2 * math.pi * frequency * x), 64, 64)
    kept = 1 - math.exp(-2 * (math.pi * frequency * sigma) ** 2)
    result = result_of(VIEWS['HighPassView'](sigma=sigma), sine)
    torch.testing.assert_close(inside(result), kept * inside(sine), rtol=0, atol=8e-3)  # cut off at 3 sigma


def test_high_pass_halves_the_nyquist_frequency_of_a_4_times_smaller_image():
    sine = pattern(lambda x, y: torch.cos(2 * math.pi * y / 8), 64, 64)
    ratio = inside(result_of(VIEWS['HighPassView'](), sine)).std() / inside(sine).std()
    assert abs(ratio - 0.5) < 0.01


def test_high_pass_and_its_blur_add_up_to_the_image():
    view, image = VIEWS['HighPassView'](), photograph(size=64)
    line = torch.tensor(view.taps, dtype=torch.float64)
    assert abs(line.sum() - 1) < 1e-12
    kernel = torch.outer(line, line).expand(3, 1, -1, -1)
    blurred = F.conv2d(image, kernel, groups=3)
    border = len(line) // 2
    torch.testing.assert_close(inside(result_of(view, image), border) + blurred, inside(image, border))


# ------------------------------------------------------------------ gradient


@pytest.mark.parametrize('operator', ['central', 'sobel'])
def test_gradient_of_a_ramp_is_twice_its_slope(operator):
    ramp = pattern(lambda x, y: 0.03 * x - 0.04 * y)
    dx, dy = result_of(VIEWS['GradientView'](output='components', operator=operator), ramp).split(1, dim=1)
    magnitude = result_of(VIEWS['GradientView'](operator=operator, epsilon=1e-6), ramp)
    for result, expected in ((dx, 0.06), (dy, -0.08), (magnitude, 0.1)):
        torch.testing.assert_close(inside(result, 1), torch.full_like(inside(result, 1), expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize('operator', ['central', 'sobel'])
def test_gradient_of_a_step_is_its_height_on_both_sides_and_0_elsewhere(operator):
    step = pattern(lambda x, y: 0.7 * (x >= 20))
    dx, dy = result_of(VIEWS['GradientView'](output='components', operator=operator), step).split(1, dim=1)
    expected = pattern(lambda x, y: 0.7 * ((x == 19) | (x == 20)))
    torch.testing.assert_close(dx, expected)
    assert dy.abs().max() < 1e-12


def test_sobel_is_the_sobel_kernel_over_4():
    image = random_image(1, 1, 20, 24, dtype=torch.float64)
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)
    expected = F.conv2d(image, torch.stack([kernel, kernel.T])[:, None] / 4)
    result = result_of(VIEWS['GradientView'](output='components', operator='sobel'), image)
    torch.testing.assert_close(inside(result, 1), expected)


def test_magnitude_is_that_of_spsr_less_epsilon():
    image = photograph(size=64)
    kernel = torch.tensor([-1.0, 0, 1], dtype=torch.float64)
    dx = F.conv2d(image, kernel.view(1, 1, 1, 3).expand(3, 1, 1, 3), padding=(0, 1), groups=3)
    dy = F.conv2d(image, kernel.view(1, 1, 3, 1).expand(3, 1, 3, 1), padding=(1, 0), groups=3)
    spsr = torch.sqrt(dx**2 + dy**2 + 1e-6)
    torch.testing.assert_close(inside(result_of(VIEWS['GradientView'](), image), 1), inside(spsr - 1e-3, 1))


def test_magnitude_of_a_flat_image_is_0_with_a_gradient_of_0():
    flat = torch.full((1, 3, 9, 9), 0.3, requires_grad=True)
    result = result_of(VIEWS['GradientView'](), flat)
    (gradient,) = torch.autograd.grad(result.sum(), flat)
    assert torch.equal(result, torch.zeros_like(result))
    assert torch.equal(gradient, torch.zeros_like(gradient))


# ------------------------------------------------------------------ wavelets


@pytest.mark.parametrize('wavelet', SCALING)
def test_wavelet_filters_are_orthonormal_to_their_even_shifts_and_to_each_other(wavelet):
    filters = {key: torch.tensor(taps, dtype=torch.float64) for key, taps in wavelet_filters(wavelet).items()}
    for first, second in ('LL', 'HH', 'LH', 'HL'):
        for shift in range(0, len(SCALING[wavelet]), 2):
            a, b = filters[first][shift:], filters[second][: len(SCALING[wavelet]) - shift]
            assert abs(a @ b - float(first == second and shift == 0)) < 1e-14


@pytest.mark.parametrize('wavelet', SCALING)
def test_high_pass_has_half_as_many_vanishing_moments_as_taps_and_no_more(wavelet):
    high = torch.tensor(wavelet_filters(wavelet)['H'], dtype=torch.float64)
    places = torch.linspace(-1, 1, len(high), dtype=torch.float64)
    moments = [float((high * places**power).sum().abs()) for power in range(len(high) // 2 + 1)]
    assert max(moments[:-1]) < 1e-14
    assert moments[-1] > 1e-6
    assert abs(sum(SCALING[wavelet]) - math.sqrt(2)) < 1e-14


def test_symlets_are_more_symmetric_than_the_daubechies_wavelet_of_their_length():
    def distance_from_linear_phase(wavelet):
        phase = np.unwrap(np.angle(np.fft.rfft(SCALING[wavelet], 512)[:200]))
        frequency = np.arange(200)
        return np.abs(phase - frequency * (phase @ frequency) / (frequency @ frequency)).max()

    assert distance_from_linear_phase('haar') < 1e-12
    assert distance_from_linear_phase('sym4') < distance_from_linear_phase('db4') / 3
    assert distance_from_linear_phase('sym7') < distance_from_linear_phase('db4') / 2


def every_band(wavelet, level, stationary):
    return VIEWS['WaveletView'](wavelet=wavelet, level=level, stationary=stationary, bands=BANDS, luma=False)


def framed(size=96, border=40):
    """A photograph with black borders, so that no filter reaches the edges."""
    return F.pad(photograph(size=size), [border] * 4)


@product(('wavelet', 'level', 'stationary'), SCALING, [1, 2, 3], [True, False])
def test_all_bands_have_the_energy_of_the_image_and_rebuild_it(wavelet, level, stationary):
    image = framed(border=104 - level * 16 if wavelet == 'haar' else 120).requires_grad_()
    bands = result_of(every_band(wavelet, level, stationary), image)
    torch.testing.assert_close(bands.square().sum(), image.square().sum())
    (rebuilt,) = torch.autograd.grad(bands, image, bands.detach())  # the transposed transform is the inverse
    torch.testing.assert_close(rebuilt, image.detach(), rtol=0, atol=1e-11)


@pytest.mark.parametrize('level', [1, 2])
def test_decimated_haar_is_orthonormal_up_to_the_borders(level):
    image = photograph(size=64).requires_grad_()
    bands = result_of(every_band('haar', level, False), image)
    assert bands.shape == (1, 3 * 4**level, 64 // 2**level, 64 // 2**level)
    torch.testing.assert_close(bands.square().sum(), image.square().sum())
    (rebuilt,) = torch.autograd.grad(bands, image, bands.detach())
    torch.testing.assert_close(rebuilt, image.detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize('stationary', [True, False])
def test_haar_bands_are_sums_and_differences_of_four_pixels(stationary):
    image = photograph(size=32)
    a, b, c, d = image[..., :-1, :-1], image[..., :-1, 1:], image[..., 1:, :-1], image[..., 1:, 1:]
    expected = torch.cat([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], dim=1)
    bands = result_of(every_band('haar', 1, stationary), image)
    if stationary:
        torch.testing.assert_close(bands[..., :-1, :-1], expected / 4)
    else:
        torch.testing.assert_close(bands, expected[..., ::2, ::2] / 2)


@pytest.mark.parametrize('wavelet', SCALING)
def test_lh_responds_to_horizontal_edges_and_hl_to_vertical_ones(wavelet):
    view = VIEWS['WaveletView'](wavelet=wavelet, luma=False)
    for edge_image, band in (
        (pattern(lambda x, y: 1.0 * (y > 20)), 0),
        (pattern(lambda x, y: 1.0 * (x > 20)), 1),
        (pattern(lambda x, y: (-1.0) ** (x + y)), 2),
    ):
        strength = inside(result_of(view, edge_image)).abs().amax(dim=(0, 2, 3))
        assert [index for index in range(3) if strength[index] > 1e-9] == [band]


def test_a_checkerboard_is_in_hh_with_its_full_amplitude():
    board = pattern(lambda x, y: (-1.0) ** (x + y))
    result = result_of(VIEWS['WaveletView'](bands=['HH'], luma=False), board)
    torch.testing.assert_close(inside(result).abs(), inside(torch.ones_like(board)))


@pytest.mark.parametrize(('wavelet', 'degree'), [('haar', 0), ('db2', 1), ('db4', 3), ('sym4', 3), ('sym7', 6)])
def test_polynomials_below_the_vanishing_moments_are_invisible(wavelet, degree):
    view = VIEWS['WaveletView'](wavelet=wavelet, luma=False)
    for power, visible in ((degree, False), (degree + 1, True)):
        curve = pattern(lambda x, y, power=power: (x / 10 - 2) ** power + (y / 10 - 2) ** power)
        assert (inside(result_of(view, curve)).abs().max() > 1e-10) == visible


@pytest.mark.parametrize('level', [2, 3])
def test_each_stationary_level_doubles_the_distance_of_the_taps(level):
    image = photograph(size=64)
    before = result_of(every_band('haar', level - 1, True), image).split(3, dim=1)
    after = result_of(every_band('haar', level, True), image).split(3, dim=1)
    low, step = before[-4], 2 ** (level - 1)
    a, b, c, d = (low[..., y : y + 64 - step, x : x + 64 - step] for y in (0, step) for x in (0, step))
    expected = [a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]
    assert len(after) == 3 * level + 1
    for found, band in zip(after[:-4], (*before[:-4], *before[-3:]), strict=True):
        torch.testing.assert_close(found, band)
    for found, band in zip(after[-4:], expected, strict=True):
        half = step // 2
        torch.testing.assert_close(found[..., half:-half, half:-half], band / 4)


def test_finer_decimated_bands_are_packed_to_the_grid_of_the_coarsest():
    image = photograph(size=32)
    two = result_of(every_band('db2', 2, False), image)
    one = result_of(every_band('db2', 1, False), image).split(3, dim=1)
    fine = [F.pixel_shuffle(band, 2) for band in two[:, :36].split(12, dim=1)]
    for found, expected in zip(fine, one[1:], strict=True):
        torch.testing.assert_close(found, expected)


def test_luma_is_that_of_basicsr():
    image = photograph(size=32).float()
    expected = rgb2ycbcr(image[0].permute(1, 2, 0).numpy(), y_only=True)
    torch.testing.assert_close(luma(image)[0, 0], torch.from_numpy(expected))
    bands = result_of(VIEWS['WaveletView'](level=2), image)
    torch.testing.assert_close(bands, result_of(VIEWS['WaveletView'](level=2, luma=False), luma(image)))


# ------------------------------------------------------------------ scale


@pytest.mark.parametrize(('factor', 'expected'), [(1, (45, 38)), (1.5, (30, 25)), (2, (22, 19)), (4, (11, 9))])
def test_scale_gives_the_floor_of_the_size(factor, expected):
    assert result_of(VIEWS['ScaleView'](factor=factor), random_image(1, 3, 45, 38)).shape[2:] == expected


def test_scale_1_is_the_image():
    image = random_image(1, 3, 20, 21)
    assert torch.equal(result_of(VIEWS['ScaleView'](factor=1), image), image)


@pytest.mark.parametrize('factor', [1.5, 2, 3, 4])
def test_scale_keeps_the_mean_and_the_range(factor):
    view = VIEWS['ScaleView'](factor=factor)
    away_from_borders, everywhere = framed(72, 12), photograph(size=96)
    for image, error in ((away_from_borders, 1e-9 if factor != 1.5 else 1e-4), (everywhere, 2e-3)):
        result = result_of(view, image)
        assert (result.mean((2, 3)) - image.mean((2, 3))).abs().max() < error
        assert image.min() <= result.min()
        assert result.max() <= image.max()


@pytest.mark.parametrize('frequency', [0.05, 0.25, 0.4, 0.5])
def test_scale_2_attenuates_a_wave_as_the_weights_1_3_3_1(frequency):
    left = (3 * math.cos(math.pi * frequency) + math.cos(3 * math.pi * frequency)) / 4
    assert frequency != 0.4 or abs(left - 0.03) < 0.001  # the documented value
    wave = pattern(lambda x, y: torch.cos(2 * math.pi * frequency * x), 160, 160)
    coarse = pattern(lambda x, y: torch.cos(2 * math.pi * frequency * (2 * x + 0.5)), 80, 80)
    result = result_of(VIEWS['ScaleView'](), wave)
    torch.testing.assert_close(inside(result), left * inside(coarse), rtol=0, atol=1e-3)


# ------------------------------------------------------------------ DiffAugment

PLAIN = {'translation': 0, 'cutout': 0, 'flips': False}


def augmented(image, seed=0, **kwargs):
    torch.manual_seed(seed)
    return result_of(VIEWS['DiffAugmentView'](**kwargs), image)


def copies(image, number=64):
    return image.repeat(number, 1, 1, 1)


@pytest.mark.parametrize('kwargs', [{'probability': 0, 'colour': 1}, PLAIN])
def test_strength_0_leaves_the_image_bit_equal(kwargs):
    image = random_image(8, 3, 24, 24)
    assert torch.equal(augmented(image, **kwargs), image)


def test_probability_can_change_during_training():
    view, image = VIEWS['DiffAugmentView'](probability=0), random_image(8, 3, 24, 24)
    assert torch.equal(result_of(view, image), image)
    view.probability = 1
    assert not torch.equal(result_of(view, image), image)


@pytest.mark.parametrize(
    ('kwargs', 'changed'),
    [
        ({'cutout': 0.5}, lambda p: p),
        ({'translation': 0.25}, lambda p: 1 - (1 - p * 15 / 16) ** 2),  # two axes, each by -8 to 8, of which 0 is 1/16
        ({'flips': True}, lambda p: 1 - (1 - p / 2) ** 3),  # three flips, each of half of the samples
        ({'colour': 1}, lambda p: 1 - (1 - p) ** 3),
    ],
    ids=['cutout', 'translation', 'flips', 'colour'],
)
@pytest.mark.parametrize('probability', [0.3, 1.0])
def test_samples_are_changed_independently_with_the_given_probability(kwargs, changed, probability):
    image = copies(random_image(1, 3, 32, 32), 600)
    result = augmented(image, **{**PLAIN, **kwargs}, probability=probability)
    different = (result != image).flatten(1).any(dim=1)
    assert abs(different.double().mean() - changed(probability)) < 0.06
    assert len(result[different].flatten(1).unique(dim=0)) > 5


def test_real_and_fake_share_their_random_parameters():
    fake = random_image(16, 3, 24, 24, seed=1)
    torch.manual_seed(0)
    shown_real, shown_fake = VIEWS['DiffAugmentView'](fill=7)(fake + 2, fake)
    hole = shown_fake == 7
    assert torch.equal(hole, shown_real == 7)
    torch.testing.assert_close(shown_real[~hole], shown_fake[~hole] + 2)


@pytest.mark.parametrize(('height', 'width', 'orientations'), [(6, 6, 8), (6, 8, 4)])
def test_flips_permute_pixels_and_reach_every_orientation(height, width, orientations):
    image = copies(torch.arange(3.0 * height * width).view(1, 3, height, width), 200)
    result = augmented(image, **{**PLAIN, 'flips': True})
    assert torch.equal(result.flatten(2).sort().values, image.flatten(2).sort().values)
    different = result.flatten(1).unique(dim=0).view(-1, 3, height, width)
    turned = [image[0].rot90(k, (1, 2)) for k in (range(4) if height == width else (0, 2))]
    expected = torch.stack([y for x in turned for y in (x, x.flip(2))])
    assert len(different) == orientations
    assert torch.equal(different, expected.flatten(1).unique(dim=0).view_as(different))


def test_translation_shifts_up_to_its_fraction_of_the_side_and_mirrors_the_rest():
    image = copies(photograph(size=40)[..., :24], 400)
    result = augmented(image, **{**PLAIN, 'translation': 0.125})
    extended = mirror(mirror(image[0], 1, 5, 5), 2, 3, 3)
    possible = {(y, x): extended[:, y : y + 40, x : x + 24] for y in range(11) for x in range(7)}
    seen = {key for key, value in possible.items() for sample in result if torch.equal(sample, value)}
    assert all(any(torch.equal(sample, value) for value in possible.values()) for sample in result[:40])
    assert {y for y, _ in seen} == set(range(11))
    assert {x for _, x in seen} == set(range(7))


def test_cutout_fills_one_rectangle_of_at_most_its_size_and_leaves_the_rest():
    image = copies(random_image(1, 3, 20, 32), 200)
    result = augmented(image, **{**PLAIN, 'cutout': 0.5}, fill=9)
    hole = result == 9
    assert torch.equal(result[~hole], image[~hole])
    assert hole.any(dim=3).any(dim=1).sum(dim=1).max() == 10
    assert hole.any(dim=2).any(dim=1).sum(dim=1).max() == 16
    sides = hole[:, 0].any(dim=2).sum(dim=1) * hole[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(sides, hole[:, 0].sum(dim=(1, 2)))
    assert hole.any(dim=0).all()


def test_without_colour_every_pixel_outside_the_hole_is_a_pixel_of_the_image():
    image = photograph(size=48)
    colours = {tuple(colour) for colour in image[0].flatten(1).T.tolist()}
    for sample in augmented(copies(image, 16)):
        assert {tuple(colour) for colour in sample.flatten(1).T.tolist()} <= colours | {(0.5, 0.5, 0.5)}


def test_a_colour_shift_stays_visible_without_colour():
    real = photograph(size=48).repeat(16, 1, 1, 1)
    drift = torch.tensor([0.1, 0.0, -0.1], dtype=torch.float64).view(1, 3, 1, 1)
    torch.manual_seed(0)
    seen_real, seen_fake = VIEWS['DiffAugmentView'](cutout=0)(real, real + drift)
    torch.testing.assert_close(seen_fake - seen_real, drift.expand_as(real))


def test_colour_is_brightness_saturation_contrast_in_the_ranges_of_the_paper():
    image = photograph(size=24).repeat(2000, 1, 1, 1)
    view = VIEWS['DiffAugmentView'](**PLAIN, colour=1)
    torch.manual_seed(0)
    drawn = view.draw(image)
    for factor, low, high in (
        (drawn.brightness, -0.25, 0.25),
        (drawn.saturation, 0, 2),
        (drawn.contrast, 0.5, 1.5),
    ):
        assert low <= factor.min() < low + 0.01 * (high - low)
        assert high >= factor.max() > high - 0.01 * (high - low)
    expected = image + drawn.brightness
    grey = expected.mean(dim=1, keepdim=True)
    expected = grey + (expected - grey) * drawn.saturation
    mean = expected.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(view.transform(image, drawn), mean + (expected - mean) * drawn.contrast)


def test_colour_scales_the_change_linearly():
    image = photograph(size=24).repeat(8, 1, 1, 1)
    torch.manual_seed(0)
    full = VIEWS['DiffAugmentView'](**PLAIN, colour=1).draw(image)
    torch.manual_seed(0)
    part = VIEWS['DiffAugmentView'](**PLAIN, colour=0.2).draw(image)
    for name, neutral in (('brightness', 0), ('saturation', 1), ('contrast', 1)):
        expected = 0.2 * (getattr(full, name) - neutral)
        torch.testing.assert_close(getattr(part, name) - neutral, expected, atol=1e-6, rtol=0)
