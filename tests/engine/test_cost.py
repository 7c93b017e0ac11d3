"""Cost is counted, not timed: FLOPs of networks and of whole training steps against BasicSR's own models."""

import pytest
import torch
from _training import model_opt
from basicsr.models import build_model

from basicsr_ganzoo.engine import cost
from basicsr_ganzoo.registry import entries

GAN = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 5e-3}
RAGAN = {'type': 'RaGANLoss', 'detach_mean': True, 'loss_weight': 5e-3}
VGG_D = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 64}
UNET_D = {'type': 'UNetSNDiscriminator', 'num_in_ch': 3, 'num_feat': 64}

STEPS = {
    'ESRGAN, VGG discriminator': ('ESRGANModel', VGG_D, RAGAN, 0.94),
    'ESRGAN, U-Net discriminator': ('ESRGANModel', UNET_D, RAGAN, 0.87),
    'SRGAN, U-Net discriminator': ('SRGANModel', UNET_D, GAN, 0.96),
}


def flops_of_a_step(model_type, network_d, gan_opt):
    opt = model_opt(model_type, gan_opt, network_d)
    opt['network_g'] = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 64, 'num_block': 23}
    opt['train']['perceptual_opt'] = {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}}
    model = build_model(opt)
    model.feed_data({'lq': torch.rand(1, 3, 32, 32), 'gt': torch.rand(1, 3, 128, 128)})
    with cost.FlopCounter() as counter:
        model.optimize_parameters(1)
    return counter.total


DAILY = 'ESRGAN, U-Net discriminator'


@pytest.mark.slow
@pytest.mark.parametrize('name', [DAILY, *(pytest.param(n, marks=pytest.mark.nightly) for n in STEPS if n != DAILY)])
def test_a_step_needs_fewer_flops_than_basicsr(name, vgg19_without_weights):
    stock_model, network_d, gan_opt, limit = STEPS[name]
    stock = flops_of_a_step(stock_model, network_d, GAN)
    ours = flops_of_a_step('GANZooModel', network_d, gan_opt)
    print(f'{name}: {ours / 1e9:.1f} of {stock / 1e9:.1f} GFLOPs, ratio {ours / stock:.3f}')
    assert ours <= limit * stock


def test_flop_counter_agrees_with_hand_counts_of_a_convolution_and_its_gradients():
    conv = torch.nn.Conv2d(3, 5, 3, padding=1)
    image = torch.rand(2, 3, 7, 9, requires_grad=True)
    one_pass = 2 * 2 * 7 * 9 * 5 * 3 * 3 * 3
    with cost.FlopCounter() as forward:
        out = conv(image)
    assert forward.total == one_pass
    with cost.FlopCounter() as both_gradients:
        torch.autograd.grad(out.sum(), [image, conv.weight])
    assert both_gradients.total == 2 * one_pass


def test_forward_cost_needs_only_shapes_and_equals_the_cost_of_a_real_pass():
    network = entries('archs')['PatchGANDiscriminator']
    counted = cost.forward_cost(network, (96, 64), num_feat=8)
    net = network(num_feat=8)
    with cost.FlopCounter() as counter:
        out = net(torch.rand(1, 3, 96, 64))
    assert counted['flops'] == counter.total
    assert counted['output'] == [list(out.shape[1:])]
    assert counted['parameters'] == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ('name', 'field'),
    [
        ('PatchGANDiscriminator', 70),
        ('PixelGANDiscriminator', 1),
        ('UNetSNDiscriminator', 64),
        ('VGGDiscriminator', None),
    ],
)
def test_receptive_field_is_what_is_known_of_the_network(name, field):
    assert cost.receptive_field(entries('archs')[name]) == field


def test_live_bytes_counts_each_storage_once_until_it_is_freed():
    with cost.LiveBytes() as live:
        kept = torch.zeros(1000)
        shown = kept[::2].view(5, 100).t()
        assert live.now == 4000
        more = kept + 1
        assert live.now == 8000
        del more, shown
        assert live.now == 4000
    del kept
    assert (live.now, live.peak) == (0, 8000)


def test_live_bytes_sees_what_autograd_keeps():
    net = torch.nn.Sequential(*[torch.nn.Linear(100, 100, bias=False) for _ in range(4)])
    with cost.LiveBytes() as live:
        out = net(torch.zeros(10, 100))
        assert live.now == 5 * 4000
        out.sum().backward()
        del out
        assert live.now == 4 * 40000
