"""The discriminators: contract tests for every registered one, then the layouts of published checkpoints."""

import importlib.util
import inspect
import math
import re

import pytest
import torch
from _products import product
from basicsr.archs import discriminator_arch as basicsr_archs
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from basicsr_ganzoo.archs._layers import CONV_NORMS
from basicsr_ganzoo.registry import entries

ARCHS = entries('archs')
#: arguments, in addition to the defaults, with which the contract tests build a discriminator
VARIANTS = {
    'VGGDiscriminator': [
        {'norm': 'spectral'},
        {'norm': 'none'},
        {'input_size': 16},
        {'input_size': 100},
        {'input_size': 256},
    ],
    'ResNetDiscriminator': [{'num_down': 1}, {'num_down': 3}],
    'PatchGANDiscriminator': [
        *({'norm': norm} for norm in CONV_NORMS if norm != 'spectral'),
        *({'num_layers': number} for number in (1, 2, 4, 5)),
        *({'num_layers': number, 'padding': 2, 'norm': 'instance'} for number in range(1, 6)),
    ],
    'PixelGANDiscriminator': [{'norm': norm} for norm in CONV_NORMS if norm != 'spectral'],
    'MultiScalePatchGANDiscriminator': [
        {'num_scales': 1},
        {'num_scales': 2, 'padding': 1},
        {'num_scales': 4, 'num_layers': 1, 'norm': 'batchspectral'},
    ],
    'UNetSNDiscriminator': [{'skip_connection': False}],
    'AttentionUNetDiscriminator': [{'norm': 'none'}],
    'MultiScaleAttentionUNetDiscriminator': [{'norm': 'none'}, {'num_scales': 1}, {'num_scales': 3}],
}
CASES = [(name, kwargs) for name in ARCHS for kwargs in ({}, *VARIANTS.get(name, []))]


def named(case):
    name, kwargs = case
    return f'{name}({", ".join(f"{key}={value}" for key, value in kwargs.items())})'


every_case = pytest.mark.parametrize('case', CASES, ids=named)
every_arch = pytest.mark.parametrize('name', ARCHS)


def build(case, seed=0, **kwargs):
    """A narrow network in train mode."""
    name, options = case
    torch.manual_seed(seed)
    return ARCHS[name](**{'num_feat': 4, **options, **kwargs})


def settle(net, times=10):
    """Run a few forward passes in train mode, so that spectral norm converges, and switch to eval mode."""
    with torch.no_grad():
        for _ in range(times):
            net(smallest(net))
    return net.eval()


def image(*shape, seed=3, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def smallest(net, batch=2, more=(1, 7), **kwargs):
    """An image slightly larger than the minimum, neither square nor of even size."""
    return image(batch, net.num_in_ch, net.min_size + more[0], net.min_size + more[1], **kwargs)


def as_list(logits):
    return logits if isinstance(logits, list) else [logits]


def total(logits):
    """A weighted sum that depends on every logit differently."""
    return sum((x * torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype).view_as(x)).sum() for x in as_list(logits))


def shapes(net):
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def num_parameters(net):
    return sum(p.numel() for p in net.parameters())


def biases_before_normalization(net):
    """Names of the convolution biases that a normalization removes."""
    names = set()
    for prefix, sequence in net.named_modules():
        if isinstance(sequence, nn.Sequential):
            layers = list(sequence.named_children())
            for (name, layer), (_, following) in zip(layers, layers[1:], strict=False):
                if isinstance(layer, nn.Conv2d) and isinstance(following, (nn.BatchNorm2d, nn.InstanceNorm2d)):
                    names.add(f'{prefix}.{name}.bias')
    return names


# ------------------------------------------------------------------ contract


@every_arch
def test_first_two_arguments_are_num_in_ch_and_num_feat_and_all_have_defaults(name):
    parameters = list(inspect.signature(ARCHS[name]).parameters.values())
    assert [(p.name, p.default) for p in parameters[:2]] == [('num_in_ch', 3), ('num_feat', 64)]
    assert all(p.default is not p.empty for p in parameters)


@product(('case', 'num_in_ch'), CASES, [1, 3, 4], ids=str)
def test_logits_of_odd_sizes_have_one_channel_and_the_batch_first(case, num_in_ch):
    net = build(case, num_in_ch=num_in_ch)
    for more in ((1, 7), (6, 0)):
        for logits in as_list(net(smallest(net, more=more))):
            assert logits.shape[:2] == (2, 1)
            assert logits.ndim in (2, 4)
            assert logits.isfinite().all()


@every_case
def test_smallest_size_works_in_train_mode_with_a_batch_of_one(case):
    net = build(case)
    for logits in as_list(net(smallest(net, batch=1, more=(0, 0)))):
        assert logits.shape[:2] == (1, 1)
        assert logits.numel() > 0
        assert logits.isfinite().all()


@every_case
def test_image_below_the_minimum_is_refused_with_class_rule_and_size(case):
    net = build(case)
    low = net.min_size - 1
    for height, width in ((low, net.min_size), (net.min_size, low), (low, 999)):
        message = f'^{case[0]} needs H and W >= {net.min_size}, got {height}x{width}$'
        for call in (net, net.features):
            with pytest.raises(ValueError, match=message):
                call(torch.zeros(1, 3, height, width))


@every_case
def test_image_with_other_channels_or_dimensions_is_refused(case):
    net = build(case)
    side = net.min_size
    for shape in ((1, 1, side, side), (1, 4, side, side), (3, side, side), (1, 3, 1, side, side)):
        with pytest.raises(ValueError, match=rf'^{case[0]} needs .*\(N, 3, H, W\), got \({shape[0]}, '):
            net(torch.zeros(shape))


@every_case
def test_logits_are_the_raw_output_of_the_last_layer_and_change_with_its_bias(case):
    net = settle(build(case))
    outputs = []
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(lambda layer, _, output: outputs.append((layer, output)))
    x = smallest(net)
    zero = as_list(net(x))
    heads = [[layer for layer, output in outputs if output is logits] for logits in zero]
    assert all(len(head) == 1 for head in heads)
    before = [logits.clone() for logits in zero]
    for shift in (5.0, -5.0):
        with torch.no_grad():
            for (head,) in heads:
                head.bias += shift
        for logits, old in zip(as_list(net(x)), before, strict=True):
            torch.testing.assert_close(logits, old + shift)
            assert (logits.sign() == math.copysign(1, shift)).all()
        with torch.no_grad():
            for (head,) in heads:
                head.bias -= shift


@every_case
def test_every_parameter_gets_a_gradient_except_a_bias_that_a_normalization_removes(case):
    net = settle(build(case)).train().double()
    total(net(smallest(net, dtype=torch.float64))).backward()
    removed = biases_before_normalization(net)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        size = parameter.grad.abs().max().item()
        assert size < 1e-9 if name in removed else size > 1e-9, f'{name}: {size}'


@pytest.mark.parametrize('case', [c for c in CASES if biases_before_normalization(build(c))], ids=named)
def test_bias_before_batch_norm_gets_a_gradient_in_eval_mode_and_before_instance_norm_none(case):
    net = settle(build(case)).double()
    total(net(smallest(net, dtype=torch.float64))).backward()
    instance = any(isinstance(layer, nn.InstanceNorm2d) for layer in net.modules())
    for name, parameter in net.named_parameters():
        if name in biases_before_normalization(net):
            assert (parameter.grad.abs().max() < 1e-9) == instance, name


@every_case
def test_double_backward_reaches_every_weight(case):
    net = settle(build(case)).train().double()
    x = smallest(net, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(total(net(x)), x, create_graph=True)
    assert gradient.isfinite().all()
    gradient.square().sum().backward()
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@every_case
def test_one_backward_of_two_forwards_in_train_mode_equals_two_backwards(case):
    def images(net):
        return smallest(net, seed=1).requires_grad_(), smallest(net, seed=2).requires_grad_()

    together = settle(build(case)).train()
    real, fake = images(together)
    loss = total(together(real)) + 2 * total(together(fake))
    loss.backward()
    separate = settle(build(case)).train()
    other_real, other_fake = images(separate)
    total(separate(other_real)).backward()
    (2 * total(separate(other_fake))).backward()
    torch.testing.assert_close(real.grad, other_real.grad)
    torch.testing.assert_close(fake.grad, other_fake.grad)
    assert real.grad.abs().sum() > 0
    assert fake.grad.abs().sum() > 0
    for mine, other in zip(together.parameters(), separate.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-3)


@every_case
def test_state_dict_round_trip_is_strict_with_and_without_its_metadata(case):
    net = build(case)
    x = smallest(net)
    net(x)  # updates the batch statistics and the singular vectors
    expected = as_list(net.eval()(x))
    for state in (net.state_dict(), dict(net.state_dict())):
        other = build(case, seed=1)
        other.load_state_dict(state, strict=True)
        for ours, theirs in zip(as_list(other.eval()(x)), expected, strict=True):
            assert torch.equal(ours, theirs)


@every_case
def test_channels_last_gives_the_same_logits(case):
    net, other = settle(build(case)), build(case, seed=1)
    other.load_state_dict(net.state_dict())
    other.to(memory_format=torch.channels_last)
    x = smallest(net)
    for mode in (True, False):
        last = other.train(mode)(x.to(memory_format=torch.channels_last))
        for ours, theirs in zip(as_list(last), as_list(net.train(mode)(x)), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@every_case
def test_float64_gives_float64_logits_close_to_those_of_float32(case):
    net, other = settle(build(case)), build(case, seed=1).double().eval()
    other.load_state_dict(net.state_dict())
    x = smallest(net)
    for logits, wide in zip(as_list(net(x)), as_list(other(x.double())), strict=True):
        assert wide.dtype == torch.float64
        torch.testing.assert_close(wide.float(), logits, rtol=1e-3, atol=1e-4)


@every_case
def test_features_are_the_logits_of_forward_and_maps_with_a_gradient(case):
    net = settle(build(case))
    x = smallest(net)
    logits, maps = net.features(x)
    assert type(logits) is type(net(x))
    for ours, theirs in zip(as_list(logits), as_list(net(x)), strict=True):
        assert torch.equal(ours, theirs)
    assert maps
    for feature in maps:
        assert feature.ndim == 4
        assert len(feature) == 2
        assert feature.requires_grad
        assert all(feature is not scale for scale in as_list(logits))


@every_case
def test_same_seed_gives_the_same_network_and_another_seed_another(case):
    x = smallest(build(case))
    one, same, other = (as_list(build(case, seed=seed)(x))[0] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


# ------------------------------------------------------------------ sizes and arguments


@pytest.mark.parametrize(
    ('name', 'kwargs', 'side', 'expected'),
    [
        ('VGGDiscriminator', {}, (128, 128), [(2, 1)]),
        ('VGGDiscriminator', {}, (97, 101), [(2, 1)]),
        ('SRGANDiscriminator', {}, (96, 96), [(2, 1)]),
        ('SRGANDiscriminator', {}, (97, 101), [(2, 1)]),
        ('ResNetDiscriminator', {}, (97, 101), [(2, 1)]),
        ('PixelGANDiscriminator', {}, (97, 101), [(2, 1, 97, 101)]),
        ('UNetSNDiscriminator', {}, (97, 101), [(2, 1, 97, 101)]),
        ('AttentionUNetDiscriminator', {}, (97, 101), [(2, 1, 97, 101)]),
        ('MultiScaleAttentionUNetDiscriminator', {}, (128, 96), [(2, 1, 128, 96), (2, 1, 64, 48)]),
        ('PatchGANDiscriminator', {}, (256, 256), [(2, 1, 30, 30)]),
        ('PatchGANDiscriminator', {'padding': 2}, (256, 256), [(2, 1, 35, 35)]),
        ('PatchGANDiscriminator', {'padding': 2}, (288, 288), [(2, 1, 39, 39)]),
        ('PatchGANDiscriminator', {'padding': 2}, (128, 128), [(2, 1, 19, 19)]),
        ('PatchGANDiscriminator', {'num_layers': 1}, (64, 32), [(2, 1, 30, 14)]),
        ('MultiScalePatchGANDiscriminator', {}, (128, 128), [(2, 1, 19, 19), (2, 1, 11, 11), (2, 1, 7, 7)]),
    ],
)
def test_logits_have_the_documented_shape(name, kwargs, side, expected):
    logits = build((name, kwargs))(image(2, 3, *side))
    assert isinstance(logits, list) == name.startswith('MultiScale')
    assert [tuple(x.shape) for x in as_list(logits)] == expected


@pytest.mark.parametrize(
    ('name', 'kwargs', 'expected'),
    [
        ('VGGDiscriminator', {}, 64),
        ('VGGDiscriminator', {'input_size': 256}, 128),
        ('SRGANDiscriminator', {}, 32),
        ('ResNetDiscriminator', {}, 32),
        ('ResNetDiscriminator', {'num_down': 3}, 8),
        *(('PatchGANDiscriminator', {'num_layers': n}, size) for n, size in enumerate((6, 12, 24, 48, 96), start=1)),
        ('PixelGANDiscriminator', {}, 2),
        ('MultiScalePatchGANDiscriminator', {}, 96),
        ('UNetSNDiscriminator', {}, 16),
        ('AttentionUNetDiscriminator', {}, 16),
        ('MultiScaleAttentionUNetDiscriminator', {}, 32),
        ('MultiScaleAttentionUNetDiscriminator', {'num_scales': 3}, 64),
    ],
)
def test_smallest_size_is_the_documented_one(name, kwargs, expected):
    assert build((name, kwargs)).min_size == expected


@pytest.mark.parametrize(
    ('name', 'kwargs', 'message'),
    [
        ('VGGDiscriminator', {'norm': 'batchnorm'}, r"needs norm.*'batchnorm' \(did you mean batch\?\)"),
        ('VGGDiscriminator', {'input_size': 15}, 'needs input_size to be a whole number from 16, got 15'),
        ('ResNetDiscriminator', {'num_down': 0}, 'needs num_down to be a whole number from 1, got 0'),
        ('PatchGANDiscriminator', {'norm': 'spectrl'}, r"needs norm.*'spectrl' \(did you mean spectral\?\)"),
        ('PatchGANDiscriminator', {'num_layers': 0}, 'needs num_layers to be a whole number from 1 to 5, got 0'),
        ('PatchGANDiscriminator', {'num_layers': 6}, 'needs num_layers to be a whole number from 1 to 5, got 6'),
        ('PatchGANDiscriminator', {'padding': 3}, 'needs padding to be a whole number from 1 to 2, got 3'),
        ('PixelGANDiscriminator', {'norm': 'group'}, "needs norm.*'group'"),
        ('MultiScalePatchGANDiscriminator', {'num_scales': 0}, 'needs num_scales to be a whole number from 1'),
        ('AttentionUNetDiscriminator', {'norm': 'instance'}, "needs norm.*batch, none, got 'instance'"),
        ('MultiScaleAttentionUNetDiscriminator', {'num_scales': 0}, 'needs num_scales to be a whole number from'),
    ],
)
def test_a_wrong_argument_is_refused_with_class_and_value(name, kwargs, message):
    with pytest.raises(ValueError, match=f'^{name} {message}'):
        ARCHS[name](**kwargs)


COUNTS = ('num_in_ch', 'num_feat', 'num_scales', 'num_layers', 'num_down', 'input_size', 'padding')


@every_arch
@pytest.mark.parametrize('value', [0, -1, 1.5, True, '3', None, [3], math.nan], ids=repr)
def test_a_count_that_is_not_a_whole_number_from_1_is_refused_with_name_and_value(name, value):
    counts = [key for key in inspect.signature(ARCHS[name]).parameters if key in COUNTS]
    assert counts[:2] == ['num_in_ch', 'num_feat']
    for key in counts:
        with pytest.raises(ValueError, match=rf'Discriminator needs {key} .*got (the text )?{re.escape(repr(value))}'):
            ARCHS[name](**{key: value})


@every_arch
def test_a_whole_float_is_accepted_as_a_count(name):
    assert shapes(ARCHS[name](num_in_ch=1.0, num_feat=2.0)) == shapes(ARCHS[name](num_in_ch=1, num_feat=2))


@pytest.mark.parametrize('value', ['false', None, 2, ['batch']], ids=repr)
def test_an_option_of_another_kind_is_refused_with_name_and_value(value):
    for name, key in (('UNetSNDiscriminator', 'skip_connection'), ('PatchGANDiscriminator', 'norm')):
        with pytest.raises(
            ValueError, match=rf'^{name} needs {key} to be (one of|true or false).*got {re.escape(repr(value))}'
        ):
            ARCHS[name](**{key: value})


# ------------------------------------------------------------------ several scales


def test_multi_scale_patchgan_gives_the_maps_of_its_parts_on_halved_images():
    net = settle(build(('MultiScalePatchGANDiscriminator', {})))
    x = image(2, 3, 97, 110)
    state = net.state_dict()
    halved = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    inputs = (x, halved, F.avg_pool2d(halved, 3, 2, 1, count_include_pad=False))
    for index, (logits, scale_input) in enumerate(zip(net(x), inputs, strict=True)):
        single = build(('PatchGANDiscriminator', {'padding': 2}), seed=9).eval()
        prefix = f'scales.{index}.'
        single.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        torch.testing.assert_close(logits, single(scale_input))


def test_multi_scale_attention_unet_gives_full_resolution_first_from_its_last_layer():
    net = settle(build(('MultiScaleAttentionUNetDiscriminator', {})))
    x = image(2, 3, 64, 48)
    full, half = net(x)
    torch.testing.assert_close(full, net.layer1(x))
    torch.testing.assert_close(half, net.layer0(F.avg_pool2d(x, 4, 2, 1)))


@pytest.mark.parametrize('name', [name for name in ARCHS if name.startswith('MultiScale')])
def test_scales_become_smaller_and_are_not_averaged(name):
    logits = build((name, {'num_scales': 3}))(image(1, 3, 128, 160))
    sizes = [x.shape[-2] * x.shape[-1] for x in logits]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert all(size > 1 for size in sizes)
    assert all(x.std() > 0 for x in logits)


# ------------------------------------------------------------------ layouts of BasicSR and Real-ESRGAN


@pytest.fixture(scope='module')
def realesrgan_unet(realesrgan):
    """Real-ESRGAN's class, from its file, without leaving its names in the registry."""
    spec = importlib.util.spec_from_file_location(
        'discriminator_of_realesrgan', realesrgan / 'archs/discriminator_arch.py'
    )
    module = importlib.util.module_from_spec(spec)
    taken = dict(ARCH_REGISTRY._obj_map)
    spec.loader.exec_module(module)
    ARCH_REGISTRY._obj_map.clear()
    ARCH_REGISTRY._obj_map.update(taken)
    return module.UNetDiscriminatorSN


@pytest.fixture(params=['basicsr', 'realesrgan'])
def stock_unet(request):
    if request.param == 'basicsr':
        return basicsr_archs.UNetDiscriminatorSN
    return request.getfixturevalue('realesrgan_unet')


def assert_same_network(ours, theirs, x):
    """Keys, shapes, strict loading both ways and outputs in train and in eval mode are the same."""
    assert shapes(ours) == shapes(theirs)
    for source, target in ((theirs, ours), (ours, theirs)):
        with torch.no_grad():
            for parameter in source.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        target.load_state_dict(dict(source.state_dict()), strict=True)
        for mode in (True, True, False):
            assert torch.equal(ours.train(mode)(x), theirs.train(mode)(x.clone()))
    for key, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[key]), key


@pytest.mark.parametrize(('size', 'parameters', 'count'), [(128, 14_499_401, 60), (256, 21_055_049, 72)])
def test_vgg_has_the_published_keys_and_parameters(size, parameters, count):
    net = ARCHS['VGGDiscriminator'](input_size=size)
    assert num_parameters(net) == parameters
    assert shapes(net) == shapes(basicsr_archs.VGGStyleDiscriminator(3, 64, size))
    assert len(net.state_dict()) == count


@pytest.mark.parametrize('size', [128, 256])
def test_vgg_equals_the_one_of_basicsr(size):
    torch.manual_seed(0)
    theirs = basicsr_archs.VGGStyleDiscriminator(3, 8, size)
    ours = build(('VGGDiscriminator', {'input_size': size}), num_feat=8)
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key
    assert_same_network(ours, theirs, image(2, 3, size, size))


def test_unet_has_the_published_keys_and_parameters(stock_unet):
    net = ARCHS['UNetSNDiscriminator']()
    assert num_parameters(net) == 4_376_897
    assert len(net.state_dict()) == 28
    assert shapes(net) == shapes(stock_unet(3, 64))


@pytest.mark.parametrize('skip_connection', [True, False])
def test_unet_equals_the_one_of_basicsr_and_of_realesrgan(skip_connection, stock_unet):
    torch.manual_seed(0)
    theirs = stock_unet(3, 8, skip_connection)
    ours = build(('UNetSNDiscriminator', {'skip_connection': skip_connection}), num_feat=8)
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key
    assert_same_network(ours, theirs, image(2, 3, 40, 64))


# ------------------------------------------------------------------ layouts of KAIR, SRGAN and A-ESRGAN


def kair_patchgan_shapes(norm):
    """Keys and shapes of KAIR's PatchGAN of 3 layers and 64 features."""
    widths = (3, 64, 128, 256, 512, 1)
    expected = {}
    for i, (in_ch, out_ch) in enumerate(zip(widths, widths[1:], strict=False)):
        conv = f'model.child{i}.0.'
        expected[f'{conv}bias'] = (out_ch,)
        if 'spectral' in norm:
            expected[f'{conv}weight_orig'] = (out_ch, in_ch, 4, 4)
            expected[f'{conv}weight_u'] = (out_ch,)
            expected[f'{conv}weight_v'] = (in_ch * 16,)
        else:
            expected[f'{conv}weight'] = (out_ch, in_ch, 4, 4)
        if norm.startswith('batch') and i in (1, 2, 3):
            for name in ('weight', 'bias', 'running_mean', 'running_var'):
                expected[f'model.child{i}.1.{name}'] = (out_ch,)
            expected[f'model.child{i}.1.num_batches_tracked'] = ()
    return expected


@pytest.mark.parametrize(
    ('norm', 'parameters', 'count'),
    [
        ('spectral', 2_764_737, 20),
        ('batch', 2_766_529, 25),
        ('instance', 2_764_737, 10),
        ('batchspectral', 2_766_529, 35),
        ('instancespectral', 2_764_737, 20),
    ],
)
def test_patchgan_has_the_keys_and_parameters_of_kair(norm, parameters, count):
    net = ARCHS['PatchGANDiscriminator'](norm=norm, padding=2)
    assert num_parameters(net) == parameters
    assert len(net.state_dict()) == count
    assert shapes(net) == kair_patchgan_shapes(norm)


@pytest.mark.parametrize('norm', CONV_NORMS)
@pytest.mark.parametrize('padding', [1, 2])
def test_patchgan_computes_convolution_normalization_leaky_relu(norm, padding):
    net = build(('PatchGANDiscriminator', {'norm': norm, 'padding': padding}))
    x = image(2, 3, 40, 56)
    settle(net)
    state = net.state_dict()
    expected = x
    for i, stride in enumerate((2, 2, 2, 1, 1)):
        conv = f'model.child{i}.0.'
        if 'spectral' in norm:
            weight = state[f'{conv}weight_orig']
            weight = weight / (state[f'{conv}weight_u'] @ weight.flatten(1) @ state[f'{conv}weight_v'])
        else:
            weight = state[f'{conv}weight']
        expected = F.conv2d(expected, weight, state[f'{conv}bias'], stride, padding)
        if norm.startswith('batch') and 0 < i < 4:
            mean, var, gain, bias = (
                state[f'model.child{i}.1.{name}'].view(1, -1, 1, 1)
                for name in ('running_mean', 'running_var', 'weight', 'bias')
            )
            expected = (expected - mean) / torch.sqrt(var + 1e-5) * gain + bias
        elif norm.startswith('instance') and 0 < i < 4:
            var, mean = torch.var_mean(expected, (2, 3), correction=0, keepdim=True)
            expected = (expected - mean) / torch.sqrt(var + 1e-5)
        if i < 4:
            expected = torch.where(expected > 0, expected, 0.2 * expected)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('num_layers', 'expected'), list(enumerate((16, 34, 70, 142, 286), start=1)))
@pytest.mark.parametrize('norm', ['none', 'spectral'])
def test_receptive_field_of_patchgan_agrees_with_gradients(num_layers, expected, norm):
    net = build(('PatchGANDiscriminator', {'num_layers': num_layers, 'norm': norm}), num_feat=1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if 'weight' in name:
                parameter.copy_(parameter.abs() + 0.1)
    net.double().eval()
    x = image(1, 3, 2 * expected, 2 * expected, dtype=torch.float64).requires_grad_()
    logits = net(x)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = x.grad[0, 0] != 0
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (expected, expected)
    assert net.receptive_field() == expected


def test_a_logit_of_pixelgan_depends_on_one_pixel():
    net = settle(build(('PixelGANDiscriminator', {})))
    x = image(1, 3, 9, 11)
    changed = x.clone()
    changed[..., 4, 5] += 1
    moved = (net(changed) != net(x))[0, 0].nonzero().tolist()
    assert moved == [[4, 5]]


def test_srgan_has_the_parameters_of_the_paper():
    net = ARCHS['SRGANDiscriminator']()
    assert num_parameters(net) == 23_565_505
    assert len(net.state_dict()) == 55
    convs = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    layout = [(conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in convs]
    widths, strides = (64, 64, 128, 128, 256, 256, 512, 512), (1, 2, 1, 2, 1, 2, 1, 2)
    assert layout == [(width, 3, stride) for width, stride in zip(widths, strides, strict=True)]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()) == 7
    dense = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(512 * 6 * 6, 1024), (1024, 1)]


@pytest.mark.parametrize(
    ('name', 'dense', 'side', 'grid'),
    [('SRGANDiscriminator', 'linear1', 96, 6), ('VGGDiscriminator', 'linear1', 128, 4)],
)
def test_classifier_pools_the_last_map_only_at_other_sizes(name, dense, side, grid):
    net = build((name, {})).eval()
    seen = []
    getattr(net, dense).register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for size in (side, side + 32):
        _, maps = net.features(image(1, 3, size, size))
        last = maps[-1]
        expected = last if size == side else F.adaptive_avg_pool2d(last, grid)
        assert torch.equal(seen[-1], expected.flatten(1))


def test_resnet_block_equals_the_mean_of_residual_and_shortcut():
    net = settle(build(('ResNetDiscriminator', {'num_down': 2})))
    x = image(2, 3, 10, 14)
    first, second, last = net.blocks
    a = F.avg_pool2d(first.conv2(F.relu(first.conv1(x))) + first.shortcut(x), 2)
    b = F.avg_pool2d(second.conv2(F.relu(second.conv1(F.relu(a)))) + second.shortcut(a), 2)
    c = last.conv2(F.relu(last.conv1(F.relu(b)))) + last.shortcut(b)
    logits, maps = net.features(x)
    for ours, theirs in zip(maps, (a, b, c), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(logits, net.linear(F.relu(c).sum((2, 3))))


def a_esrgan_shapes():
    """Keys and shapes of A-ESRGAN's single-scale discriminator of 64 features, as its checkpoint has them."""
    expected = {}

    def plain(name, weight, bias=True):
        expected[f'{name}.weight'] = weight
        if bias:
            expected[f'{name}.bias'] = weight[:1]

    def spectral(name, *weight):
        expected[f'{name}.weight_orig'] = weight
        expected[f'{name}.weight_u'] = weight[:1]
        expected[f'{name}.weight_v'] = (math.prod(weight[1:]),)

    plain('conv0', (64, 3, 3, 3))
    for name, out_ch, in_ch in (
        ('conv1', 128, 64),
        ('conv2', 256, 128),
        ('conv3', 512, 256),
        ('cat_1.convU', 256, 512),
        ('cat_2.convU', 128, 256),
        ('cat_3.convU', 64, 128),
        ('conv4', 256, 512),
        ('conv5', 128, 256),
        ('conv6', 64, 128),
        ('conv7', 64, 64),
        ('conv8', 64, 64),
    ):
        spectral(name, out_ch, in_ch, 3, 3)
    spectral('gating', 256, 512, 1, 1)
    for name, width in (('attn_1', 256), ('attn_2', 128), ('attn_3', 64)):
        plain(f'{name}.W.0', (width, width, 1, 1))
        for key in ('weight', 'bias', 'running_mean', 'running_var'):
            expected[f'{name}.W.1.{key}'] = (width,)
        expected[f'{name}.W.1.num_batches_tracked'] = ()
        plain(f'{name}.theta', (width, width, 2, 2), bias=False)
        plain(f'{name}.phi', (width, 256, 1, 1))
        plain(f'{name}.psi', (1, width, 1, 1))
    plain('conv9', (1, 64, 3, 3))
    return expected


def test_attention_unet_has_the_keys_and_parameters_of_a_esrgan():
    net = ARCHS['AttentionUNetDiscriminator']()
    assert num_parameters(net) == 5_399_044
    assert sum(buffer.numel() for buffer in net.buffers()) == 24_899
    assert len(net.state_dict()) == 76
    assert shapes(net) == a_esrgan_shapes()


def test_multi_scale_attention_unet_has_the_keys_and_parameters_of_a_esrgan():
    net = ARCHS['MultiScaleAttentionUNetDiscriminator']()
    assert num_parameters(net) == 10_798_088
    assert len(net.state_dict()) == 152
    single = a_esrgan_shapes()
    assert shapes(net) == {f'layer{i}.{key}': shape for i in range(2) for key, shape in single.items()}


def test_attention_unet_computes_gated_skips_before_upsampled_maps():
    net = settle(build(('AttentionUNetDiscriminator', {}), num_feat=8))
    x = image(2, 3, 40, 56)

    def act(layer, y):
        y = layer(y)
        return torch.where(y > 0, y, 0.2 * y)

    def resized(y, size):
        return F.interpolate(y, size=size, mode='bilinear', align_corners=False)

    down = [act(net.conv0, x)]
    for conv in (net.conv1, net.conv2, net.conv3):
        down.append(act(conv, down[-1]))
    gate = act(net.gating, down[3])
    assert gate.shape[2:] == (5 + 2, 7 + 2)  # the published 1x1 convolution has a padding of 1
    y = down[3]
    for attention, cat, conv, skip in (
        (net.attn_1, net.cat_1, net.conv4, down[2]),
        (net.attn_2, net.cat_2, net.conv5, down[1]),
        (net.attn_3, net.cat_3, net.conv6, down[0]),
    ):
        query = attention.theta(skip)
        weight = torch.sigmoid(attention.psi(torch.relu(query + resized(attention.phi(gate), query.shape[2:]))))
        attended = attention.W(skip * resized(weight, skip.shape[2:]))
        y = act(conv, torch.cat([attended, act(cat.convU, resized(y, skip.shape[2:]))], 1))
    torch.testing.assert_close(net(x), net.conv9(act(net.conv8, act(net.conv7, y))))


# ------------------------------------------------------------------ spectral norm


@pytest.mark.parametrize(
    ('name', 'kwargs', 'count'),
    [
        ('VGGDiscriminator', {'norm': 'spectral'}, 12),
        ('ResNetDiscriminator', {}, 19),
        ('PatchGANDiscriminator', {}, 5),
        ('PatchGANDiscriminator', {'norm': 'batchspectral'}, 5),
        ('PatchGANDiscriminator', {'norm': 'instancespectral'}, 5),
        ('PixelGANDiscriminator', {}, 3),
        ('MultiScalePatchGANDiscriminator', {}, 15),
        ('UNetSNDiscriminator', {}, 8),
        ('AttentionUNetDiscriminator', {}, 12),
        ('MultiScaleAttentionUNetDiscriminator', {}, 24),
    ],
)
def test_spectral_norm_sets_every_largest_singular_value_to_1(name, kwargs, count):
    net = build((name, kwargs))
    settle(net, times=40)
    normed = [layer for layer in net.modules() if hasattr(layer, 'weight_orig')]
    assert len(normed) == count
    for layer in normed:
        sigma = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
        assert 0.95 <= sigma <= 1.05, f'{layer}: {sigma}'
