"""GANZooModel: parity with BasicSR's models, the meaning of the keys, composition, and errors."""

import importlib
import pickle
import urllib.request
from urllib.error import URLError

import pytest
import torch
from _products import product
from _state import differences
from _training import batches, model_opt, train_steps
from _zoo import GAN_LOSSES
from basicsr.models import build_model
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo.engine.optimizer_state import load_optimizer
from basicsr_ganzoo.engine.optimizers import build_optimizer, can_be_fused, optimizer_classes
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.pairing import PAIRINGS
from basicsr_ganzoo.registry import entries, register

STOCK_GAN = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0}
STOCK_D = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 8}
WEIGHT = {'loss_weight': 5e-3}
RAGAN = {'type': 'RaGANLoss', 'detach_mean': True, **WEIGHT}
SMALL_D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
LOSSES = list(GAN_LOSSES)


@register(ARCH_REGISTRY)
class GeneratorWithBatchNorm(torch.nn.Sequential):
    """A generator with buffers, as the one of the SRGAN paper has."""

    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 48, 3, 1, 1), torch.nn.BatchNorm2d(48), torch.nn.PixelShuffle(4))


def parameters(model, name):
    if name == 'net_d' and not hasattr(model, 'net_d'):
        return list(model.adversaries['net_d'].net_d.parameters())
    return list(getattr(model, name).parameters())


def assert_same_training(stock_opt, opt, count=5):
    """In float64, and with the kernel of stock's Adam on both sides: the fused one, our default, rounds otherwise."""
    assert torch.get_default_dtype() == torch.float64
    for key in opt['train'].keys() & {'optim_g', 'optim_d'}:
        opt['train'][key]['fused'] = False
    stock, stock_logs = train_steps(stock_opt, count)
    ours, logs = train_steps(opt, count)
    for expected, log in zip(stock_logs, logs, strict=True):
        assert {key: log[key] for key in expected} == pytest.approx(expected, rel=1e-6)  # the log is float32
    for name in ('net_g', 'net_g_ema', 'net_d'):
        for a, b in zip(parameters(stock, name), parameters(ours, name), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize('gan_opt', [STOCK_GAN, {'type': 'VanillaGANLoss'}, {'type': 'GANZooLoss', 'gan_type': 'gan'}])
def test_five_steps_equal_those_of_basicsr_srganmodel(gan_opt, float64):
    stock = model_opt('SRGANModel', STOCK_GAN | WEIGHT, STOCK_D)
    ours = model_opt('GANZooModel', gan_opt | WEIGHT, STOCK_D | {'type': 'VGGDiscriminator'})
    assert_same_training(stock, ours)


@pytest.mark.slow
def test_five_steps_equal_those_of_basicsr_esrganmodel(float64):
    stock = model_opt('ESRGANModel', STOCK_GAN | WEIGHT, STOCK_D)
    assert_same_training(stock, model_opt('GANZooModel', RAGAN, STOCK_D | {'type': 'VGGDiscriminator'}))


@pytest.fixture
def spectral_norm_stands_still(monkeypatch):
    """BasicSR runs D 3 or 5 times in a step, we twice; each pass updates the estimate of spectral norm."""
    norm = importlib.import_module('torch.nn.utils.spectral_norm').SpectralNorm
    compute = norm.compute_weight
    monkeypatch.setattr(norm, 'compute_weight', lambda self, layer, do_power_iteration: compute(self, layer, False))


STOCK_UNET = {'type': 'UNetDiscriminatorSN_basicsr', 'num_in_ch': 3, 'num_feat': 8}
UNET_MODELS = [('SRGANModel', {'type': 'VanillaGANLoss', **WEIGHT}), ('ESRGANModel', RAGAN)]


@pytest.mark.slow
@pytest.mark.parametrize(('model_type', 'gan_opt'), UNET_MODELS)
def test_five_steps_with_a_unet_equal_those_of_basicsr_if_spectral_norm_stands_still(
    model_type, gan_opt, spectral_norm_stands_still, float64
):
    stock = model_opt(model_type, STOCK_GAN | WEIGHT, STOCK_UNET)
    assert_same_training(stock, model_opt('GANZooModel', gan_opt, STOCK_UNET | {'type': 'UNetSNDiscriminator'}))


@pytest.mark.slow
@pytest.mark.parametrize(('model_type', 'gan_opt'), UNET_MODELS)
def test_the_losses_of_d_with_a_unet_agree_with_basicsr_to_a_thousandth(model_type, gan_opt):
    stock = train_steps(model_opt(model_type, STOCK_GAN | WEIGHT, STOCK_UNET))[1]
    ours = train_steps(model_opt('GANZooModel', gan_opt, STOCK_UNET | {'type': 'UNetSNDiscriminator'}))[1]
    for expected, log in zip(stock, ours, strict=True):
        for name in ('l_d_real', 'l_d_fake', 'l_g_gan'):
            assert log[name] == pytest.approx(expected[name], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('layout', [{}, {'channels_last': True}])
def test_fused_adam_is_the_default_and_differs_from_the_plain_one_by_rounding_alone(layout, float64):
    opt = model_opt(gan_opt=RAGAN, network_d=SMALL_D, **layout)
    fused, logs = train_steps(opt, 5, gt_size=32)
    assert all(group['fused'] for optimizer in fused.optimizers for group in optimizer.param_groups)
    for key in ('optim_g', 'optim_d'):
        opt['train'][key]['fused'] = False
    plain, plain_logs = train_steps(opt, 5, gt_size=32)
    assert not any(group['fused'] for optimizer in plain.optimizers for group in optimizer.param_groups)
    assert logs[-1] == pytest.approx(plain_logs[-1], rel=1e-6)  # the log is float32
    for name in ('net_g', 'net_g_ema', 'net_d'):
        for a, b in zip(parameters(fused, name), parameters(plain, name), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_attached_means_train_differently_from_basicsr_esrganmodel():
    detached, _ = train_steps(model_opt(gan_opt=RAGAN), 2)
    attached, _ = train_steps(model_opt(gan_opt=RAGAN | {'detach_mean': False}), 2)
    pairs = zip(parameters(detached, 'net_d'), parameters(attached, 'net_d'), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize('schedule', [{'net_d_iters': 2}, {'net_d_init_iters': 3}])
def test_net_d_iters_and_net_d_init_iters_mean_what_they_mean_in_basicsr(schedule, float64):
    stock = model_opt('SRGANModel', STOCK_GAN | WEIGHT, STOCK_D, **schedule)
    assert_same_training(stock, model_opt('GANZooModel', STOCK_GAN | WEIGHT, STOCK_D, **schedule))


@pytest.mark.slow
@pytest.mark.parametrize('gan_type', ['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'])
def test_our_losses_work_as_cri_gan_of_basicsr_srganmodel(gan_type, float64):
    runs = []
    for loss_type in ('GANLoss', 'GANZooLoss'):
        gan_opt = {'type': loss_type, 'gan_type': gan_type, **WEIGHT}
        runs.append(train_steps(model_opt('SRGANModel', gan_opt, STOCK_D), 2)[1])
    assert runs[0][1] == pytest.approx(runs[1][1], rel=1e-6)


@pytest.mark.slow
def test_our_losses_work_as_cri_gan_of_basicsr_realesrganmodel(monkeypatch):
    monkeypatch.setattr(torch.nn.Module, 'cuda', lambda module, *args: module)
    runs = []
    for loss_type in ('GANLoss', 'GANZooLoss'):
        gan_opt = {'type': loss_type, 'gan_type': 'vanilla', 'loss_weight': 0.1}
        opt = model_opt('RealESRGANModel', gan_opt, {'type': 'UNetSNDiscriminator', 'num_feat': 4})
        opt.update(high_order_degradation=False, l1_gt_usm=True, percep_gt_usm=True, gan_gt_usm=False)
        runs.append(train_steps(opt, 2, gt_size=64)[1])
    assert runs[0][0] == pytest.approx(runs[1][0], rel=1e-5)
    assert runs[0][1] == pytest.approx(runs[1][1], rel=1e-3)  # Adam has enlarged the rounding of small gradients


@pytest.mark.parametrize('model_type', ['SRGANModel', 'ESRGANModel'])
def test_a_relativistic_loss_inside_a_model_of_basicsr_is_an_error_and_not_ignored(model_type):
    with pytest.raises(TypeError, match='GANZooModel'):
        train_steps(model_opt(model_type, {'type': 'RaGANLoss'}, STOCK_D), 1)


@pytest.mark.slow
def test_a_gan_weight_of_zero_is_bit_equal_to_no_gan():
    without, _ = train_steps(model_opt(), 3)
    with_zero, _ = train_steps(model_opt(gan_opt={'type': 'VanillaGANLoss', 'loss_weight': 0}), 3)
    for a, b in zip(parameters(without, 'net_g'), parameters(with_zero, 'net_g'), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_the_psnr_stage_equals_basicsr_srmodel(float64):
    stock, _ = train_steps(model_opt('SRModel'), 3)
    ours, _ = train_steps(model_opt('GANZooModel'), 3)
    for a, b in zip(parameters(stock, 'net_g'), parameters(ours, 'net_g'), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@product(('discriminator', 'loss', 'pairing'), entries('archs'), LOSSES, PAIRINGS)
def test_every_discriminator_trains_with_every_loss_and_pairing(discriminator, loss, pairing):
    network_d = {'type': discriminator, 'num_feat': 4}
    size = max(32, ARCH_REGISTRY.get(discriminator)(num_feat=4).min_size)
    opt = model_opt(gan_opt={'type': loss, 'pairing': pairing, 'loss_weight': 0.1}, network_d=network_d)
    torch.manual_seed(0)
    model = build_model(opt)
    nets = {'net_g': model.net_g, 'net_d': model.adversaries['net_d'].net_d}
    before = {name: [p.clone() for p in net.parameters()] for name, net in nets.items()}
    batch = {'lq': torch.rand(2, 3, size // 4, size // 4), 'gt': torch.rand(2, 3, size, size)}
    untouched = {key: value.clone() for key, value in batch.items()}
    model.feed_data(batch)
    for current_iter in (1, 2):
        model.optimize_parameters(current_iter)
        assert all(torch.tensor(list(model.get_current_log().values())).isfinite())
    for name, net in nets.items():
        assert all(p.isfinite().all() for p in net.parameters())
        changed = [not torch.equal(a, b) for a, b in zip(before[name], net.parameters(), strict=True)]
        assert sum(changed) > len(changed) / 2
    assert all(torch.equal(batch[key], value) for key, value in untouched.items())


def test_rho_is_the_ratio_of_the_gradients_at_the_image():
    torch.manual_seed(0)
    model = build_model(model_opt(gan_opt={'type': 'VanillaGANLoss', 'loss_weight': 0.1}, network_d=SMALL_D))
    batch = {'lq': torch.rand(2, 3, 8, 8), 'gt': torch.rand(2, 3, 32, 32)}
    net_d = model.adversaries['net_d'].net_d
    net_d.load_state_dict(net_d.state_dict())
    image = model.net_g(batch['lq']).detach().requires_grad_()
    state = {key: value.clone() for key, value in net_d.state_dict().items()}
    net_d(batch['gt'])
    gan = torch.autograd.grad(0.1 * torch.nn.functional.softplus(-net_d(image)).mean(), image)[0]
    net_d.load_state_dict(state)
    content = torch.autograd.grad(1e-2 * (image - batch['gt']).abs().mean(), image)[0]
    model.feed_data(batch)
    model.optimize_parameters(1)
    assert model.get_current_log()['rho'] == pytest.approx(float(gan.norm() / content.norm()), rel=1e-5)


def test_ema_takes_in_buffers_and_copies_what_is_no_float():
    opt = model_opt(ema_decay=0.5)
    opt['network_g'] = {'type': 'GeneratorWithBatchNorm'}
    model, _ = train_steps(opt, 1)
    ema, net = model.net_g_ema.state_dict(), model.net_g.state_dict()
    torch.testing.assert_close(ema['1.running_mean'], net['1.running_mean'] / 2)
    assert net['1.running_mean'].abs().sum() > 0
    assert ema['1.num_batches_tracked'] == net['1.num_batches_tracked'] == 1


def test_ldl_trains_the_generator_and_equals_basicsr_formula():
    from basicsr.losses.loss_util import get_refined_artifact_map

    opt = model_opt(ldl_opt={'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'})
    torch.manual_seed(0)
    model = build_model(opt)
    lq, gt = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        model.net_g_ema.conv_last.bias.add_(0.1)
        sr, ema = model.net_g(lq), model.net_g_ema(lq)
        weight = get_refined_artifact_map(gt, sr, ema, 7)
    model.feed_data({'lq': lq, 'gt': gt})
    model.optimize_parameters(1)
    assert model.get_current_log()['l_g_ldl'] == pytest.approx(float((weight * (sr - gt)).abs().mean()), rel=1e-5)
    assert weight.abs().sum() > 0


USUAL_OPTIMIZERS = sorted(set(optimizer_classes()) - {'Muon'})  # Muon is for matrices and refuses convolutions


@pytest.mark.parametrize('name', USUAL_OPTIMIZERS)
def test_every_optimizer_of_torch_trains_by_its_name_and_is_resumed(name):
    opt = model_opt(gan_opt={'type': 'VanillaGANLoss'}, network_d=SMALL_D)
    opt['train']['optim_g'] = opt['train']['optim_d'] = {'type': name, 'lr': 1e-3}
    model, logs = train_steps(opt, 2, gt_size=32)
    assert type(model.optimizer_g).__name__ == name
    assert logs[0]['l_g_pix'] != logs[1]['l_g_pix']
    resumed, saved = build_model(opt).optimizer_g, model.optimizer_g.state_dict()
    load_optimizer(resumed, saved, name)
    assert differences(saved['state'], resumed.state_dict()['state']) == []


def test_a_saved_run_is_resumed_with_the_same_networks_and_optimizers(tmp_path):
    opt = model_opt(gan_opt=RAGAN, network_d=SMALL_D)
    opt['path'] = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    model, _ = train_steps(opt, 2, gt_size=32)
    model.save(epoch=0, current_iter=2)
    opt['path'] |= {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_2.pth') for n in 'gd'}
    resumed = build_model(opt)
    resumed.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    for name in ('net_g', 'net_g_ema', 'net_d'):
        for a, b in zip(parameters(model, name), parameters(resumed, name), strict=True):
            assert torch.equal(a, b)
    for a, b in zip(model.optimizers, resumed.optimizers, strict=True):
        assert a.state_dict()['state'][0]['step'] == b.state_dict()['state'][0]['step'] == 2


def without(opt, *keys):
    *parents, last = keys
    block = opt
    for parent in parents:
        block = block[parent]
    del block[last]
    return opt


def replaced(opt, value, *keys):
    *parents, last = keys
    block = opt
    for parent in parents:
        block = block[parent]
    block[last] = value
    return opt


def gan():
    return model_opt(gan_opt={'type': 'VanillaGANLoss'}, network_d=dict(SMALL_D))


MISTAKES = {
    'misspelt discriminator': (
        lambda: replaced(gan(), 'UNetSNDiscriminatr', 'network_d', 'type'),
        'UNetSNDiscriminator',
    ),
    'misspelt loss': (lambda: replaced(gan(), 'HingeGanLoss', 'train', 'gan_opt', 'type'), 'HingeGANLoss'),
    'unknown argument': (lambda: replaced(gan(), 3, 'network_d', 'num_layer'), 'did you mean num_layers'),
    'wrong norm': (lambda: replaced(gan(), 'spectal', 'network_d', 'norm'), 'did you mean spectral'),
    'labels on a loss without labels': (
        lambda: replaced(gan(), {'type': 'HingeGANLoss', 'real_label_val': 0.9}, 'train', 'gan_opt'),
        'train.gan_opt: HingeGANLoss has no option real_label_val',
    ),
    'weight as text': (lambda: replaced(gan(), '1e-1', 'train', 'gan_opt', 'loss_weight'), "got the text '1e-1'"),
    'learning rate as text': (lambda: replaced(gan(), '1e-4', 'train', 'optim_g', 'lr'), '0.0001'),
    'unknown optimizer': (lambda: replaced(gan(), 'Adm', 'train', 'optim_d', 'type'), 'did you mean Adam'),
    'unknown optimizer argument': (lambda: replaced(gan(), 0.9, 'train', 'optim_d', 'beta'), 'did you mean betas'),
    'optimizer that needs a closure': (lambda: replaced(gan(), 'LBFGS', 'train', 'optim_g', 'type'), "got 'LBFGS'"),
    'no optimizer': (lambda: without(gan(), 'train', 'optim_d'), 'train.optim_d is missing'),
    'unknown scheduler': (lambda: replaced(gan(), 'StepLR', 'train', 'scheduler', 'type'), 'StepLR'),
    'no scheduler': (lambda: without(gan(), 'train', 'scheduler'), 'train.scheduler is missing'),
    'GAN loss without discriminator': (lambda: without(gan(), 'network_d'), 'network_d is not'),
    'discriminator without GAN loss': (lambda: without(gan(), 'train', 'gan_opt'), 'train.gan_opt is not'),
    'no loss': (lambda: without(model_opt(), 'train', 'pixel_opt'), 'nothing to train with'),
    'LDL without EMA': (lambda: model_opt(ldl_opt={'type': 'L1Loss'}, ema_decay=0), 'ema_decay'),
    'missing generator file': (lambda: replaced(gan(), 'no.pth', 'path', 'pretrain_network_g'), 'no.pth'),
    'loss that is no mapping': (lambda: replaced(gan(), 'VanillaGANLoss', 'train', 'gan_opt'), 'mapping with a type'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_in_the_option_file_is_one_sentence(mistake):
    make, expected = MISTAKES[mistake]
    with pytest.raises(OptionError) as caught:
        build_model(make())
    message = str(caught.value)
    assert expected in message
    assert '\n' not in message


@pytest.mark.parametrize('content', ['pickle', 'other network', 'text'])
def test_a_generator_file_that_does_not_fit_is_named(content, tmp_path):
    path = tmp_path / 'net_g.pth'
    if content == 'pickle':
        path.write_bytes(pickle.dumps({'params': 1}))
    elif content == 'text':
        path.write_text('not a checkpoint')
    else:
        torch.save({'params': {'conv.weight': torch.zeros(1)}}, path)
    with pytest.raises(OptionError, match='pretrain_network_g'):
        build_model(replaced(gan(), str(path), 'path', 'pretrain_network_g'))


def test_perceptual_weights_that_are_not_available_are_named_with_file_place_and_url(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError('Name or service not known')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, 'urlopen', no_network)
    monkeypatch.setattr(torch.hub, 'urlopen', no_network)
    block = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 1}}
    with pytest.raises(OptionError) as caught:
        build_model(model_opt(perceptual_opt=block))
    for word in ('vgg19-dcbb9e9d.pth', 'experiments/pretrained_models', 'https://download.pytorch.org/models/'):
        assert word in str(caught.value)


def test_images_of_another_scale_are_named_with_both_sizes():
    opt = model_opt()
    opt['network_g']['upscale'] = 2
    with pytest.raises(OptionError, match='64x64 pixels from 32x32, but gt has 128x128'):
        train_steps(opt, 1)


ADAM = {'type': 'Adam', 'lr': 1e-4}


@pytest.mark.parametrize(
    ('change', 'expected', 'of_stock'),
    [
        ({'optim_d': {'type': 'SGD', 'lr': 0.1}}, 'it is of Adam, not of SGD', 'it has no dampening, momentum for SGD'),
        ({'optim_g': {'type': 'SGD', 'lr': 0.1}}, 'it is of Adam, not of SGD', 'it has no dampening, momentum for SGD'),
        (
            {'optim_g': {'type': 'AdamW', 'lr': 0.1}},
            'it is of Adam, not of AdamW',
            'its weight decay is not that of AdamW',
        ),
        ({'net_d_freeze': 1}, "that doesn't match the size", "that doesn't match the size"),
    ],
)
def test_a_state_of_other_optimizers_is_one_sentence(change, expected, of_stock, tmp_path):
    gan = {'gan_opt': {'type': 'VanillaGANLoss'}, 'network_d': SMALL_D}
    model = build_model(model_opt(**gan))
    model.opt['path'] = {'training_states': str(tmp_path)}
    take_steps(model, 1)
    model.save_training_state(0, 1)
    for reason in (expected, of_stock):
        state = torch.load(tmp_path / '1.state', weights_only=True)
        if reason is of_stock:
            del state['optimizer_types']  # BasicSR's states do not have them
        message = f'the training state does not fit the optimizers .*{reason}.*net_d_freeze'
        with pytest.raises(OptionError, match=message):
            build_model(model_opt(**gan, **change)).resume_training(state)


def take_steps(model, count):
    for iteration, batch in enumerate(batches(count, gt_size=32), start=1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)


FORMS = {
    'plain to fused': ({'fused': False}, {}),
    'fused to plain': ({}, {'fused': False}),
    'foreach to fused': ({'foreach': True}, {}),
}


@pytest.mark.parametrize('layout', [{}, {'channels_last': True}])
@pytest.mark.parametrize('form', FORMS)
def test_the_form_of_the_option_file_is_kept_after_a_resume_and_continues_with_the_same_values(
    form, layout, float64, tmp_path
):
    """Also from a state saved in another memory format, which a fused kernel would misread."""
    before, after = FORMS[form]
    paths = {'models': str(tmp_path), 'training_states': str(tmp_path)}
    gan = {'gan_opt': {'type': 'VanillaGANLoss'}, 'network_d': SMALL_D}
    model = build_model(model_opt(**gan, optim_g=ADAM | before, optim_d=ADAM | before) | {'path': dict(paths)})
    take_steps(model, 3)
    model.save(0, 3)
    paths |= {f'pretrain_network_{n}': str(tmp_path / f'net_{n}_3.pth') for n in 'gd'}
    resumed = build_model(model_opt(**gan, optim_g=ADAM | after, optim_d=ADAM | after, **layout) | {'path': paths})
    state = torch.load(tmp_path / '3.state', weights_only=True)
    for key in ('optimizer_types', 'adversaries', 'extra', 'rank'):
        state.pop(key)  # as BasicSR's states are
    resumed.resume_training(state)
    for optimizer in resumed.optimizers:
        assert bool(optimizer.param_groups[0]['fused']) == ('fused' not in after)
        assert all(value['exp_avg'].stride() == p.stride() for p, value in optimizer.state.items())
        assert {float(value['step']) for value in optimizer.state.values()} == {3.0}
    for each in (model, resumed):
        take_steps(each, 2)
    for name in ('net_g', 'net_d'):
        for a, b in zip(parameters(model, name), parameters(resumed, name), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('name', USUAL_OPTIMIZERS)
def test_an_optimizer_is_fused_where_torch_has_a_kernel_and_makes_the_same_steps(name, float64):
    weights = []
    for form in ({}, {'fused': False}):
        kind = optimizer_classes()[name]
        if form and not can_be_fused(kind, 'cpu'):
            return
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        built = build_optimizer({'type': name, 'lr': 0.1, **form}, 'train.optim_g', net)
        assert bool(built.param_groups[0].get('fused')) == (can_be_fused(kind, 'cpu') and not form)
        for _ in range(3):
            net.zero_grad()
            net(torch.rand(4, 3)).square().sum().backward()
            built.step()
        weights.append(net.weight.detach())
    torch.testing.assert_close(*weights, rtol=1e-9, atol=1e-12)


def test_adam_and_sgd_can_be_fused_on_a_cpu():
    assert all(can_be_fused(getattr(torch.optim, name), 'cpu') for name in ('Adam', 'AdamW', 'SGD'))
