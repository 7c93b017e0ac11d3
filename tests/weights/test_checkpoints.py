"""Loading of checkpoints: nested and renamed weights load; what does not fit is one sentence with the likely cause."""

import functools
import json
import logging
import os
import pickle
import re
import tarfile
from pathlib import Path
from urllib.error import URLError

import pytest
import spandrel
import torch
from _products import product
from _training import model_opt, train_steps
from basicsr.archs import build_network, discriminator_arch
from basicsr.models import build_model
from safetensors.torch import save_file
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet as RRDBNetOf2018
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, spectral_norm

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.weights.load import load_checkpoint

RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 2, 'num_grow_ch': 4}
SRRESNET = {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 2}
SRVGG = {'type': 'SRVGGNetCompact', 'num_feat': 8, 'num_conv': 2}
UNET = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
VGG = {'type': 'VGGDiscriminator', 'num_feat': 4, 'input_size': 32}
PATCHGAN = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}


def net(block, seed=0, **changes):
    torch.manual_seed(seed)
    return build_network({**block, **changes}).eval()


def filled(value):
    """A state dict of one convolution, filled with ``value``."""
    return {'weight': torch.full((2, 1, 1, 1), value), 'bias': torch.full((2,), value)}


def conv():
    return nn.Conv2d(1, 2, 1)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def saved(tmp_path, content, name='net.pth', **kwargs):
    torch.save(content, tmp_path / name, **kwargs)
    return tmp_path / name


def refusal(network, path, **kwargs):
    """The error message for a refused file; asserts that it is one line and that the network is unchanged."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(OptionError) as caught:
        load_checkpoint(network, path, **kwargs)
    message = str(caught.value)
    assert '\n' not in message
    assert len(message) < 500
    assert same(before, network.state_dict())
    return message


@pytest.fixture
def log(caplog):
    """A function that returns the messages of BasicSR's logger."""
    logger = logging.getLogger('basicsr')
    level = logger.level
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    yield lambda: ' | '.join(caplog.messages)
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)


# ------------------------------------------------------------------ nesting

A, B = filled(1.0), filled(2.0)
NESTINGS = {
    'bare': (A, 'params', 'without a key, because there is no params'),
    'bare, None requested': (A, None, 'without a key'),
    'params': ({'params': A}, 'params', 'key params'),
    'params, auto': ({'params': A}, 'auto', 'key params'),
    'params, None': ({'params': A}, None, 'key params'),
    'params instead of params_ema': ({'params': A}, 'params_ema', 'key params, because there is no params_ema'),
    'params_ema instead of params': ({'params_ema': A}, 'params', 'key params_ema, because there is no params'),
    'both, params': ({'params': A, 'params_ema': B}, 'params', 'key params'),
    'both, params_ema': ({'params': B, 'params_ema': A}, 'params_ema', 'key params_ema'),
    'both, auto': ({'params': B, 'params_ema': A}, 'auto', 'key params_ema'),
    'both, several requested': ({'params': A, 'params_ema': B}, ['g', 'params'], 'key params, because there is no g'),
    'state_dict': ({'state_dict': A, 'epoch': 3}, 'params', 'key state_dict, because there is no params'),
    'model': ({'model': A, 'optimizer': {'state': {}}}, 'auto', 'key model'),
    'model_state_dict': ({'model_state_dict': A}, 'auto', 'key model_state_dict'),
    'nested': ({'state_dict': {'params': B, 'params_ema': A}}, 'auto', 'key state_dict.params_ema'),
    'nested twice': ({'model': {'state_dict': {'params': A}}}, 'params', 'key model.state_dict.params'),
    'own key': ({'params': B, 'g': A}, 'g', 'key g'),
    'beside a loose tensor': ({'params': A, 'step': torch.tensor(3)}, 'auto', 'key params'),
    'bare with a number among them': ({**A, 'epoch': 3}, 'auto', 'without a key'),
}


@pytest.mark.parametrize('nesting', NESTINGS)
def test_weights_are_found_under_the_requested_key_or_another(nesting, tmp_path, log):
    content, param_key, words = NESTINGS[nesting]
    network = conv()
    path = saved(tmp_path, content)
    load_checkpoint(network, path, param_key)
    assert same(network.state_dict(), A)
    assert f'Loading network_g from {path}, {words} | network_g takes all 2 of 2 tensors' == log()


@pytest.mark.parametrize('prefix', ['module.', '_orig_mod.', 'module._orig_mod.', 'module.module.'])
def test_prefixes_of_wrappers_are_removed(prefix, tmp_path):
    network = conv()
    load_checkpoint(network, saved(tmp_path, {'params': {prefix + name: value for name, value in A.items()}}))
    assert same(network.state_dict(), A)


@pytest.mark.parametrize('more', [{}, {'more': torch.ones(1)}], ids=['strict', 'not strict'])
def test_a_submodule_named_module_keeps_its_name(more, tmp_path):
    network = nn.ModuleDict({'module': conv(), 'other': conv()})
    content = {
        f'{part}.{name}': value for part, state in (('module', A), ('other', B)) for name, value in state.items()
    }
    load_checkpoint(network, saved(tmp_path, content | more), strict=not more)
    assert same(network.state_dict(), content)


def test_safetensors_load(tmp_path):
    network = net(SRVGG)
    save_file(net(SRVGG, seed=1).state_dict(), tmp_path / 'net.safetensors')
    load_checkpoint(network, tmp_path / 'net.safetensors', 'params')
    assert same(network.state_dict(), net(SRVGG, seed=1).state_dict())


def test_the_format_of_torch_before_1_6_loads(tmp_path):
    network = conv()
    load_checkpoint(network, saved(tmp_path, {'params': A}, _use_new_zipfile_serialization=False))
    assert same(network.state_dict(), A)


def test_half_precision_loads_into_a_network_of_full_precision(tmp_path):
    network = conv()
    load_checkpoint(network, saved(tmp_path, {name: value.half() for name, value in A.items()}))
    assert network.weight.dtype == torch.float32
    assert same(network.state_dict(), A)


# ------------------------------------------------------------------ names of other code bases


class OldRRDBNet(nn.Module):
    """The generator of ESRGAN's repository after its renaming and of KAIR's BSRGAN, written from its description."""

    def __init__(self, num_feat=8, num_block=2, num_grow_ch=4):
        super().__init__()
        self.conv_first = nn.Conv2d(3, num_feat, 3, 1, 1)
        self.RRDB_trunk = nn.ModuleList(self.block(num_feat, num_grow_ch) for _ in range(num_block))
        for name in ('trunk_conv', 'upconv1', 'upconv2', 'HRconv'):
            setattr(self, name, nn.Conv2d(num_feat, num_feat, 3, 1, 1))
        self.conv_last = nn.Conv2d(num_feat, 3, 3, 1, 1)

    @staticmethod
    def block(num_feat, num_grow_ch):
        widths = [num_grow_ch] * 4 + [num_feat]
        names = [f'conv{i + 1}' for i in range(5)]
        return nn.ModuleDict(
            {
                f'RDB{dense}': nn.ModuleDict(
                    {n: nn.Conv2d(num_feat + i * num_grow_ch, widths[i], 3, 1, 1) for i, n in enumerate(names)}
                )
                for dense in (1, 2, 3)
            }
        )

    def forward(self, x):
        first = x = self.conv_first(x)
        for block in self.RRDB_trunk:
            start = x
            for dense in block.values():
                maps = [x]
                for convolution in dense.values():
                    maps.append(F.leaky_relu(convolution(torch.cat(maps, 1)), 0.2))
                # the last convolution of a dense block has no activation
                x = x + 0.2 * dense['conv5'](torch.cat(maps[:5], 1))
            x = start + 0.2 * x
        x = first + self.trunk_conv(x)
        for up in (self.upconv1, self.upconv2):
            x = F.leaky_relu(up(x.repeat_interleave(2, 2).repeat_interleave(2, 3)), 0.2)
        return self.conv_last(F.leaky_relu(self.HRconv(x), 0.2))


def pix2pix(num_layers, norm):
    """pix2pix's NLayerDiscriminator as a Sequential under ``model``, written from its description."""
    norms = {'batch': nn.BatchNorm2d, 'instance': nn.InstanceNorm2d, 'none': lambda width: nn.Identity()}
    layers, width = [nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2)], 4
    for layer in range(1, num_layers + 1):
        wider = 4 * min(2**layer, 8)
        stride = 2 if layer < num_layers else 1
        layers += [
            nn.Conv2d(width, wider, 4, stride, 1, bias=norm == 'instance'),
            norms[norm](wider),
            nn.LeakyReLU(0.2),
        ]
        width = wider
    return Under('model', nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1)))


def kair_patchgan(num_layers, norm):
    """KAIR's Discriminator_PatchGAN: named children, padding 2, spectral norm on every convolution."""
    wrap = spectral_norm if 'spectral' in norm else lambda layer: layer
    widths = [3, *(4 * min(2**layer, 8) for layer in range(num_layers + 1)), 1]
    model = nn.Sequential()
    for i, (before, width) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        block = nn.Sequential(wrap(nn.Conv2d(before, width, 4, 2 if i < num_layers else 1, 2)))
        if 'batch' in norm and 0 < i <= num_layers:
            block.append(nn.BatchNorm2d(width))
        if i <= num_layers:
            block.append(nn.LeakyReLU(0.2))
        model.add_module(f'child{i}', block)
    return Under('model', model)


class Under(nn.Module):
    """``module`` under ``name``."""

    def __init__(self, name, module):
        super().__init__()
        self.add_module(name, module)

    def forward(self, x):
        return next(self.children())(x)


class KairVGGSN(nn.Module):
    """KAIR's Discriminator_VGG_128_SN, of another width."""

    def __init__(self, num_feat=4):
        super().__init__()
        widths = [num_feat * min(2 ** (i // 2), 8) for i in range(10)]
        for i, (before, width) in enumerate(zip([3, *widths[:-1]], widths, strict=True)):
            layer = nn.Conv2d(before, width, 4, 2, 1) if i % 2 else nn.Conv2d(before, width, 3, 1, 1)
            setattr(self, f'conv{i}', spectral_norm(layer))
        self.linear0 = spectral_norm(nn.Linear(widths[-1] * 16, 100))
        self.linear1 = spectral_norm(nn.Linear(100, 1))

    def forward(self, x):
        for i in range(10):
            x = F.leaky_relu(getattr(self, f'conv{i}')(x), 0.2)
        return self.linear1(F.leaky_relu(self.linear0(x.flatten(1)), 0.2))


class KairVGG(nn.Module):
    """The first layers of KAIR's Discriminator_VGG_*: convolution, convolution, batch norm, leaky ReLU."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 4, 2), nn.BatchNorm2d(4, eps=1e-4))
        self.classifier = nn.Sequential(nn.Linear(4, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1))


def unet_with_parametrizations(monkeypatch):
    monkeypatch.setattr(discriminator_arch, 'spectral_norm', parametrizations.spectral_norm)
    return discriminator_arch.UNetDiscriminatorSN(3, 4)


FOREIGN = {
    'ESRGAN': (lambda _: OldRRDBNet(), RRDB),
    'ESRGAN of 2018': (lambda _: RRDBNetOf2018(num_filters=8, num_blocks=2), RRDB | {'num_grow_ch': 32}),
    'BasicSR U-Net': (lambda _: discriminator_arch.UNetDiscriminatorSN(3, 4), UNET),
    'U-Net without skips': (
        lambda _: discriminator_arch.UNetDiscriminatorSN(3, 4, skip_connection=False),
        UNET | {'skip_connection': False},
    ),
    'U-Net with new spectral norm': (unet_with_parametrizations, UNET),
    'BasicSR VGG': (lambda _: discriminator_arch.VGGStyleDiscriminator(3, 4), VGG | {'input_size': 128}),
    'KAIR VGG_128_SN': (lambda _: KairVGGSN(), VGG | {'input_size': 128, 'norm': 'spectral'}),
    **{
        f'KAIR PatchGAN {norm}': (
            functools.partial(lambda norm, _: kair_patchgan(3, norm), norm),
            PATCHGAN | {'num_layers': 3, 'norm': norm, 'padding': 2},
        )
        for norm in ('spectral', 'batch', 'batchspectral')
    },
    **{
        f'pix2pix {norm} {num_layers}': (
            functools.partial(lambda n, norm, _: pix2pix(n, norm), num_layers, norm),
            PATCHGAN | {'num_layers': num_layers, 'norm': norm},
        )
        for norm in ('batch', 'instance', 'none')
        for num_layers in (2, 3, 4)
    },
}


@product(('name', 'wrap'), FOREIGN, [lambda state: state, lambda state: {'params': state}])
def test_a_network_of_another_code_base_loads_strictly_with_equal_outputs(name, wrap, tmp_path, monkeypatch):
    make, block = FOREIGN[name]
    torch.manual_seed(1)
    theirs = make(monkeypatch)
    image = torch.rand(2, 3, 128, 128) if 'VGG' in name else torch.rand(2, 3, 64, 72)
    for _ in range(3):  # in train mode, to update statistics and singular vectors
        theirs(image)
    theirs.eval()
    ours = net(block)
    assert (ours(image) - theirs(image)).abs().max() > 1e-3
    load_checkpoint(ours, saved(tmp_path, wrap(theirs.state_dict())), label='network_d')
    torch.testing.assert_close(ours(image), theirs(image))


def test_batch_norms_without_num_batches_tracked_load(tmp_path):
    theirs = net(PATCHGAN, seed=1, norm='batch')
    state = {name: value for name, value in theirs.state_dict().items() if 'num_batches_tracked' not in name}
    ours = net(PATCHGAN, norm='batch')
    load_checkpoint(ours, saved(tmp_path, state))
    assert same(ours.state_dict(), theirs.state_dict())


def rrdb_of_2018(scale):
    return RRDBNetOf2018(num_filters=8, num_blocks=2, scale=scale).state_dict()


UNEQUAL = {
    'KAIR VGG': (lambda: KairVGG().state_dict(), VGG, 'no activation after its first convolution'),
    'ESRGAN of 2018 x2': (lambda: rrdb_of_2018(2), RRDB | {'num_grow_ch': 32}, 'a scale other than 4'),
    'ESRGAN of 2018 x8': (lambda: rrdb_of_2018(8), RRDB | {'num_grow_ch': 32}, 'a scale other than 4'),
    'pix2pix into padding 2': (
        lambda: pix2pix(2, 'batch').state_dict(),
        PATCHGAN | {'norm': 'batch', 'padding': 2},
        'padding: 1',
    ),
    'pix2pix of instance norm': (
        lambda: pix2pix(2, 'instance').state_dict(),
        PATCHGAN | {'norm': 'none'},
        'norm: instance',
    ),
    'pix2pix without norm': (lambda: pix2pix(2, 'none').state_dict(), PATCHGAN | {'norm': 'instance'}, 'norm: none'),
    'pix2pix of batch norm': (lambda: pix2pix(2, 'batch').state_dict(), PATCHGAN, 'norm: batch'),
}


@pytest.mark.parametrize('strict', [True, False])
@pytest.mark.parametrize('name', UNEQUAL)
def test_a_network_that_ours_does_not_equal_is_refused_with_the_reason(name, strict, tmp_path):
    state, block, reason = UNEQUAL[name]
    path = saved(tmp_path, state())
    message = refusal(net(block), path, strict=strict, label='network_d')
    assert reason in message
    assert str(path) in message


# ------------------------------------------------------------------ weights of another network

RRDB_6, RRDB_23 = RRDB | {'num_block': 6}, RRDB | {'num_block': 23}
MISFITS = {
    'x2 into x4': (RRDB | {'scale': 2}, RRDB, ['scale is 2 (conv_first takes 12', '4 (conv_first takes 3 ']),
    'x1 into x4': (RRDB | {'scale': 1}, RRDB, ['scale is 1 (conv_first takes 48 channels) in the file']),
    'x4 into x2': (RRDB, RRDB | {'scale': 2}, ['scale is 4 (conv_first takes 3 channels) in the file', 'and 2 (']),
    'grey x2 into x4': (RRDB | {'scale': 2, 'num_in_ch': 1}, RRDB, ['scale is 2 (conv_first takes 4 channels)']),
    '6 blocks into 23': (RRDB_6, RRDB_23, ['num_block is 6 in the file and 23 in network_g']),
    '23 blocks into 6': (RRDB_23, RRDB_6, ['num_block is 23 in the file and 6 in network_g']),
    'width': (RRDB | {'num_feat': 4}, RRDB, ['num_feat is 4 in the file and 8 in network_g']),
    'growth': (RRDB | {'num_grow_ch': 2}, RRDB, ['num_grow_ch is 2 in the file and 4 in network_g']),
    'two arguments': (RRDB_6 | {'num_feat': 4}, RRDB, ['num_block is 6', 'num_feat is 4']),
    'colours': (RRDB, RRDB | {'num_out_ch': 1}, ['conv_last.weight has the shape 3x8x3x3 in the file and 1x8x3x3']),
    'MSRResNet blocks': (SRRESNET, SRRESNET | {'num_block': 3}, ['num_block is 2 in the file and 3']),
    'MSRResNet x2': (SRRESNET | {'upscale': 2}, SRRESNET, ['upscale is 2 in the file and 4']),
    'MSRResNet x3': (SRRESNET | {'upscale': 3}, SRRESNET, ['upscale is 3 in the file and 4']),
    'SRVGG length': (SRVGG | {'num_conv': 11}, SRVGG, ['num_conv is 11 in the file and 2']),
    'SRVGG x2': (SRVGG | {'num_conv': 11, 'upscale': 2}, SRVGG, ['upscale is 2 in the file and 4', 'num_conv is 11']),
    'SRVGG into RRDB': (SRVGG, RRDB, ['holds the generator SRVGGNetCompact', 'network_g is the generator RRDBNet']),
    'RRDB into SRVGG': (RRDB, SRVGG, ['holds the generator RRDBNet', 'network_g is the generator SRVGGNetCompact']),
    'RRDB into MSRResNet': (RRDB, SRRESNET, ['holds the generator RRDBNet', 'the generator MSRResNet']),
    'MSRResNet into RRDB': (SRRESNET, RRDB, ['holds the generator MSRResNet', 'the generator RRDBNet']),
    'EDSR into MSRResNet': (
        {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 2},
        SRRESNET,
        ['holds the generator EDSR'],
    ),
    'SwinIR into RRDB': (
        {'type': 'SwinIR', 'embed_dim': 6, 'depths': [1], 'num_heads': [1], 'window_size': 2, 'img_size': 8},
        RRDB,
        ['holds the generator SwinIR', 'the generator RRDBNet'],
    ),
    'width of the U-Net': (UNET | {'num_feat': 2}, UNET, ['num_feat is 2 in the file and 4']),
    'VGG of another size': (VGG | {'input_size': 64}, VGG, ['input_size is 64 in the file and 32']),
    'VGG of another norm': (
        VGG | {'norm': 'spectral'},
        VGG,
        ['spectral norm is on in the file and off', 'batch norm is'],
    ),
    'PatchGAN layers': (PATCHGAN | {'num_layers': 3}, PATCHGAN, ['num_layers is 3 in the file and 2']),
    'PatchGAN norm': (PATCHGAN | {'norm': 'batch'}, PATCHGAN, ['spectral norm is off in the file and on']),
}
DISCRIMINATORS = [
    *(
        'VGGDiscriminator',
        'SRGANDiscriminator',
        'ResNetDiscriminator',
        'PatchGANDiscriminator',
        'PixelGANDiscriminator',
    ),
    *('MultiScalePatchGANDiscriminator', 'UNetSNDiscriminator', 'AttentionUNetDiscriminator'),
    'MultiScaleAttentionUNetDiscriminator',
]


@pytest.mark.parametrize('name', MISFITS)
def test_weights_that_do_not_fit_are_refused_with_the_likely_cause(name, tmp_path):
    theirs, ours, causes = MISFITS[name]
    path = saved(tmp_path, {'params': net(theirs).state_dict()})
    message = refusal(net(ours), path)
    assert message.startswith(f'{path} does not fit network_g: ')
    for cause in causes:
        assert cause in message
    assert re.search(r'; \d+ of \d+ tensors fit$', message)


@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_a_discriminator_given_for_a_generator_and_the_reverse_are_refused_by_name(name, tmp_path):
    discriminator = {'type': name, 'num_feat': 4}
    path = saved(tmp_path, net(discriminator).state_dict())
    for strict in (True, False):
        message = refusal(net(RRDB), path, strict=strict)
        assert f'holds the discriminator {name}, and network_g is the generator RRDBNet' in message
    path = saved(tmp_path, net(RRDB).state_dict())
    message = refusal(net(discriminator), path, label='network_d')
    assert f'holds the generator RRDBNet, and network_d is the discriminator {name}' in message


@pytest.mark.parametrize('name', DISCRIMINATORS)
def test_a_wrong_width_is_reported_for_every_discriminator(name, tmp_path):
    path = saved(tmp_path, net({'type': name, 'num_feat': 2}).state_dict())
    assert 'num_feat is 2 in the file and 4' in refusal(net({'type': name, 'num_feat': 4}), path, label='network_d')


def test_every_registered_discriminator_is_covered():
    from basicsr_ganzoo.registry import entries

    assert set(entries('archs')) == set(DISCRIMINATORS)


def test_for_an_unknown_network_the_first_name_that_differs_is_reported(tmp_path):
    path = saved(tmp_path, {'weight': A['weight']})
    assert 'bias of network_g is not in the file; 1 of 2 tensors fit' in refusal(conv(), path)
    path = saved(tmp_path, {**A, 'scale': torch.ones(())})
    assert 'scale of the file is not in network_g; 2 of 3 tensors fit' in refusal(conv(), path)
    path = saved(tmp_path, {**A, 'bias': torch.ones(())})
    assert 'bias has the shape of a scalar in the file and 2 in network_g' in refusal(conv(), path)
    path = saved(tmp_path, net(RRDB).state_dict())
    assert 'holds the generator RRDBNet, and network_g is another network' in refusal(conv(), path)


# ------------------------------------------------------------------ not strict


def test_without_strict_what_fits_is_loaded_and_the_rest_is_logged(tmp_path, log):
    theirs, ours = net(RRDB, seed=1, scale=2), net(RRDB)
    first = ours.conv_first.weight.clone()
    load_checkpoint(ours, saved(tmp_path, {'params': theirs.state_dict()}), strict=False)
    assert torch.equal(ours.conv_first.weight, first)
    assert torch.equal(ours.body[1].rdb3.conv5.weight, theirs.body[1].rdb3.conv5.weight)
    assert torch.equal(ours.conv_last.weight, theirs.conv_last.weight)
    total = len(ours.state_dict())
    assert f'network_g takes {total - 1} of {total} tensors, the others do not fit: scale is 2' in log()


@pytest.mark.parametrize(('fitting', 'loads'), [(0, False), (1, False), (2, True), (3, True), (4, True)])
@pytest.mark.parametrize('others', ['missing', 'of other names', 'of other shapes'])
def test_less_than_half_of_the_tensors_is_refused_without_strict(fitting, loads, others, tmp_path):
    network = nn.ModuleList([conv(), conv()])
    state = {name: value + 1 for name, value in network.state_dict().items()}
    loaded = dict(list(state.items())[:fitting])
    for name in list(state)[fitting:]:
        value = state.pop(name)
        if others != 'missing':
            state[f'x{name}' if others == 'of other names' else name] = value[:1]
    path = saved(tmp_path, state or {'none': torch.ones(1)})
    if loads:
        load_checkpoint(network, path, strict=False)
        assert (
            sum(torch.equal(value, loaded.get(name, value + 1)) for name, value in network.state_dict().items())
            == fitting
        )
    else:
        assert f'{fitting} of 4 tensors fit' in refusal(network, path, strict=False)


def test_a_file_of_which_less_than_half_is_used_is_refused_without_strict(tmp_path):
    message = refusal(net(RRDB), saved(tmp_path, net(RRDB_6).state_dict()), strict=False)
    assert 'num_block is 6 in the file and 2 in network_g; 72 of 192 tensors fit' in message


# ------------------------------------------------------------------ files


class Malicious:
    """Its pickle creates a folder when it is loaded unsafely."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


MALICIOUS = {
    'zip': lambda path, content: torch.save(content, path),
    'old': lambda path, content: torch.save(content, path, _use_new_zipfile_serialization=False),
    'pickle': lambda path, content: path.write_bytes(pickle.dumps(content['surprise'], protocol=2)),
}


@pytest.mark.parametrize('form', MALICIOUS)
def test_a_pickle_that_would_execute_code_is_refused_and_not_executed(form, tmp_path):
    path, marker = tmp_path / 'net.pth', tmp_path / 'marker'
    MALICIOUS[form](path, {'params': A, 'surprise': Malicious(marker)})
    message = refusal(conv(), path)
    assert not marker.exists()
    assert re.search(r'would execute \w+\.mkdir when loaded', message)
    assert '_weights_only' not in message
    if form == 'zip':  # without weights_only the same file does execute its code
        torch.load(path, weights_only=False)
        assert marker.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_tar(path):
    with tarfile.open(path, 'w') as archive:
        archive.addfile(tarfile.TarInfo('storages'))


BIG = {'weight': torch.rand(1000)}
BROKEN = {
    'empty': (lambda path: path.touch(), 'is empty'),
    'text': (lambda path: path.write_text('not a checkpoint'), 'is text'),
    'web page': (lambda path: path.write_text('<!DOCTYPE html>\n<html lang="en">'), 'a web page'),
    'Git LFS pointer': (lambda path: path.write_text('version https://git-lfs.github.com/spec/v1\n'), 'Git LFS'),
    'bytes': (lambda path: path.write_bytes(bytes(range(256))), 'was not written by torch.save'),
    'image': (lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(99)), 'was not written by torch.save'),
    'truncated': (lambda path: (torch.save(BIG, path), cut(path)), 'is damaged or incomplete'),
    'truncated, old format': (
        lambda path: (torch.save(BIG, path, _use_new_zipfile_serialization=False), cut(path)),
        'is damaged or incomplete',
    ),
    'tar': (write_tar, 'the format of PyTorch before 0.1.10'),
    'TorchScript': (
        lambda path: torch.jit.trace(conv(), torch.ones(1, 1, 2, 2)).save(path),
        'is a TorchScript program',
    ),
    'whole network': (lambda path: torch.save(conv(), path), 'would execute torch.nn.modules.conv.Conv2d'),
    'folder': (lambda path: path.mkdir(), 'is not a file'),
    'missing': (lambda path: None, 'is not a file'),
    'tensor': (lambda path: torch.save(torch.ones(2), path), 'holds a Tensor, not tensors by name'),
    'list': (lambda path: torch.save([torch.ones(2)], path), 'holds a list, not tensors by name'),
    'no weights': (lambda path: torch.save({'params': {}, 'epoch': 1}, path), 'holds no weights'),
    'training state': (
        lambda path: torch.save({'iter': 3, 'optimizers': [{'state': {0: torch.ones(1)}}], 'schedulers': []}, path),
        'it belongs to path.resume_state',
    ),
    'unknown keys': (
        lambda path: torch.save({'g': A, 'd': B, 'epoch': 1}, path),
        'has weights under g, d; set param_key',
    ),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', BROKEN)
def test_a_file_without_weights_is_one_sentence_that_names_it(name, tmp_path):
    write, reason = BROKEN[name]
    path = tmp_path / 'net.pth'
    write(path)
    message = refusal(conv(), path)
    assert message.startswith(str(path))
    assert reason in message


def test_a_file_truncated_anywhere_is_damaged(tmp_path):
    path = tmp_path / 'net.pth'
    torch.save({'params': {str(index): torch.rand(500) for index in range(60)}}, path)
    content = path.read_bytes()
    for length in range(100, len(content), len(content) // 20):
        path.write_bytes(content[:length])
        assert 'is damaged or incomplete' in refusal(conv(), path), length


@pytest.mark.parametrize('protocol', [2, 4])
def test_a_bare_pickle_is_refused_without_torchs_warnings(protocol, tmp_path, recwarn):
    path = tmp_path / 'net.pth'
    path.write_bytes(pickle.dumps({'params': Path('/')}, protocol=protocol))
    assert refusal(conv(), path).startswith(str(path))
    assert not recwarn


@pytest.mark.parametrize('content', [b'', b'text', b'\x08' + bytes(7) + b'{"a":1}'])
def test_a_damaged_safetensors_file_is_one_sentence_that_names_it(content, tmp_path):
    path = tmp_path / 'net.safetensors'
    path.write_bytes(content)
    assert refusal(conv(), path).startswith(f'{path} is not a complete safetensors file')


# ------------------------------------------------------------------ URLs


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_url_is_downloaded_once_and_then_read_from_the_cache_of_torch(suffix, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    path = tmp_path / f'net{suffix}'
    (torch.save if suffix == '.pth' else save_file)(A, path)
    load_checkpoint(conv(), path.as_uri())
    path.unlink()
    network = conv()
    load_checkpoint(network, path.as_uri())
    assert same(network.state_dict(), A)
    assert (tmp_path / 'home/hub/checkpoints' / path.name).is_file()


def test_a_failed_download_is_one_sentence_with_file_folder_and_url(tmp_path, monkeypatch):
    def offline(url, *args, **kwargs):
        raise URLError('Name or service\nnot known')

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr('basicsr.utils.download_util.download_url_to_file', offline)
    url = 'https://example.com/releases/RealESRGAN_x4plus.pth?download=true'
    message = refusal(conv(), url)
    assert f'get it from {url} and put it into {tmp_path / "hub/checkpoints"}' in message
    assert message.startswith('cannot download RealESRGAN_x4plus.pth (')
    assert 'not known' in message


def test_a_url_without_a_file_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    assert 'names no file' in refusal(conv(), 'https://example.com/')


# ------------------------------------------------------------------ in GANZooModel


def gan_opt(tmp_path, network_g, **paths):
    opt = model_opt(gan_opt={'type': 'VanillaGANLoss'}, network_d=PATCHGAN)
    opt['network_g'] = dict(network_g)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path), **paths}
    return opt


GENERATORS = {'RRDBNet': RRDB | {'num_grow_ch': 32}, 'SRVGGNetCompact': SRVGG}


@pytest.mark.parametrize('name', GENERATORS)
def test_a_saved_generator_loads_in_spandrel_with_equal_outputs(name, tmp_path):
    model, _ = train_steps(gan_opt(tmp_path, GENERATORS[name]), 2, gt_size=32)
    model.save(epoch=0, current_iter=2)
    loaded = spandrel.ModelLoader().load_from_file(tmp_path / 'net_g_2.pth')
    assert loaded.scale == 4
    assert loaded.input_channels == loaded.output_channels == 3
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(image), model.net_g_ema(image))
        assert not torch.equal(model.net_g(image), model.net_g_ema(image))


INFERENCE = """
import basicsr_ganzoo, json, torch
from basicsr.archs import build_network
from realesrgan import RealESRGANer

for name, block in json.loads({blocks!r}).items():
    upsampler = RealESRGANer(4, f'{folder}/{{name}}/net_g_1.pth', model=build_network(block), device='cpu')
    torch.save(upsampler.model.state_dict(), f'{folder}/{{name}}/theirs.pth')
"""


@pytest.mark.slow
@pytest.mark.usefixtures('realesrgan')
def test_the_inference_of_real_esrgan_loads_the_ema_weights_of_saved_generators(tmp_path, fresh_python):
    models = {}
    for name, block in GENERATORS.items():
        (tmp_path / name).mkdir()
        models[name], _ = train_steps(gan_opt(tmp_path / name, block), 1, gt_size=32)
        models[name].save(epoch=0, current_iter=1)
    done = fresh_python(INFERENCE.format(blocks=json.dumps(GENERATORS), folder=tmp_path.as_posix()))
    assert done.returncode == 0, done.stderr
    for name, model in models.items():
        theirs = torch.load(tmp_path / name / 'theirs.pth', weights_only=True)
        assert same(theirs, model.net_g_ema.state_dict())
        assert not same(theirs, model.net_g.state_dict())


def test_saved_networks_can_start_another_run(tmp_path):
    model, _ = train_steps(gan_opt(tmp_path, RRDB), 1, gt_size=32)
    model.save(epoch=0, current_iter=1)
    paths = {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_1.pth') for n in 'gd'}
    torch.manual_seed(9)
    after = build_model(gan_opt(tmp_path, RRDB, **paths))
    assert same(after.net_g.state_dict(), model.net_g.state_dict())
    assert same(after.net_g_ema.state_dict(), model.net_g_ema.state_dict())
    assert not same(after.net_g.state_dict(), after.net_g_ema.state_dict())
    net_d, net_d_before = (m.adversaries['net_d'].net_d.state_dict() for m in (after, model))
    assert same(net_d, net_d_before)


@pytest.mark.parametrize('param_key', ['params', 'params_ema', None, 'auto', 'absent'])
@pytest.mark.parametrize('key', ['params', 'params_ema', 'state_dict', None])
def test_a_file_with_one_set_of_weights_starts_generator_and_ema_for_every_key(key, param_key, tmp_path):
    state = net(RRDB, seed=5).state_dict()
    path = saved(tmp_path, {key: state} if key else state)
    model = build_model(gan_opt(tmp_path, RRDB, pretrain_network_g=str(path), param_key_g=param_key))
    assert same(model.net_g.state_dict(), state)
    assert same(model.net_g_ema.state_dict(), state)


def test_a_custom_key_starts_the_ema_too_and_is_logged(tmp_path, log):
    state = net(RRDB, seed=5).state_dict()
    path = saved(tmp_path, {'mine': state, 'params': net(RRDB, seed=6).state_dict()})
    model = build_model(gan_opt(tmp_path, RRDB, pretrain_network_g=str(path), param_key_g='mine'))
    assert same(model.net_g_ema.state_dict(), state)
    assert 'key mine, because there is no params_ema' in log()


def test_a_generator_of_esrgan_starts_a_run(tmp_path):
    theirs = OldRRDBNet()
    path = saved(tmp_path, theirs.state_dict())
    model = build_model(gan_opt(tmp_path, RRDB, pretrain_network_g=str(path)))
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(model.net_g(image), theirs(image))


def test_swapped_files_are_reported_with_the_key_of_the_option_file(tmp_path):
    generator = str(saved(tmp_path, net(RRDB).state_dict(), 'g.pth'))
    discriminator = str(saved(tmp_path, net(PATCHGAN).state_dict(), 'd.pth'))
    with pytest.raises(OptionError, match=r'path.pretrain_network_g: .*d.pth .* the discriminator PatchGAN'):
        build_model(gan_opt(tmp_path, RRDB, pretrain_network_g=discriminator))
    with pytest.raises(OptionError, match=r'path.pretrain_network_d: .*g.pth .* the generator RRDBNet'):
        build_model(gan_opt(tmp_path, RRDB, pretrain_network_d=generator))


def test_strict_load_false_of_the_option_file_is_applied(tmp_path):
    path = str(saved(tmp_path, {'params': net(RRDB, seed=5, scale=2).state_dict()}))
    paths = {'pretrain_network_g': path}
    with pytest.raises(OptionError, match='scale is 2'):
        build_model(gan_opt(tmp_path, RRDB, **paths))
    model = build_model(gan_opt(tmp_path, RRDB, **paths, strict_load_g=False))
    assert torch.equal(model.net_g.conv_last.weight, net(RRDB, seed=5, scale=2).conv_last.weight)


def test_load_network_takes_the_arguments_of_basicsr(tmp_path):
    model = build_model(gan_opt(tmp_path, RRDB))
    state = net(RRDB, seed=5).state_dict()
    model.load_network(nn.DataParallel(model.net_g), str(saved(tmp_path, {'params': state})), True, 'params_ema')
    assert same(model.net_g.state_dict(), state)
    with pytest.raises(OptionError, match='does not fit RRDBNet: num_block is 6'):
        model.load_network(model.net_g, str(saved(tmp_path, {'params': net(RRDB_6).state_dict()})))
