"""RealESRGANZooModel and RealESRNetZooModel: parity with BasicSR's models, the meaning of the keys, and errors."""

import copy

import basicsr.models.realesrgan_model as stock_gan
import basicsr.models.realesrnet_model as stock_net
import pytest
import torch
import yaml
from _training import batches, model_opt, train_steps, write_pairs
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.utils import set_random_seed
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn

from basicsr_ganzoo.degradations.kernels import RandomKernels
from basicsr_ganzoo.degradations.presets import REAL
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models import realesrgan_zoo_model
from basicsr_ganzoo.registry import register

GAN = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 1e-1}
VGG = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 8}
UNET = {'type': 'UNetDiscriminatorSN_basicsr', 'num_in_ch': 3, 'num_feat': 4, 'skip_connection': True}
SWITCHES = ('l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm')
PUBLISHED_SWITCHES = dict(zip(SWITCHES, (True, True, False), strict=True))

# train_realesrgan_x4plus.yml of Real-ESRGAN, but for the sizes of networks and batches, and the VGG network.
STOCK_FILE = """
name: train_RealESRGANx4plus_400k_B12G4
model_type: RealESRGANZooModel
scale: 4
num_gpu: 0
manual_seed: 0
l1_gt_usm: True
percep_gt_usm: True
gan_gt_usm: False
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
gt_size: 32
queue_size: 180
datasets:
  train:
    name: DF2K+OST
    type: RealESRGANDataset
    dataroot_gt: datasets/DF2K
    meta_info: datasets/DF2K/meta_info/meta_info_DF2Kmultiscale+OST_sub.txt
    io_backend: {type: disk}
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
    gt_size: 32
    use_hflip: True
    use_rot: False
    use_shuffle: true
    num_worker_per_gpu: 5
    batch_size_per_gpu: 12
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
network_g: {type: MSRResNet, num_feat: 8, num_block: 1, upscale: 4}
network_d: {type: UNetDiscriminatorSN, num_in_ch: 3, num_feat: 4, skip_connection: True}
path: {pretrain_network_g: ~, param_key_g: params_ema, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: 0.0001, weight_decay: 0, betas: [0.9, 0.99]}
  optim_d: {type: Adam, lr: 0.0001, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [400000], gamma: 0.5}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1.0, reduction: mean}
  gan_opt: {type: GANLoss, gan_type: vanilla, real_label_val: 1.0, fake_label_val: 0.0, loss_weight: 1.0e-1}
  net_d_iters: 1
  net_d_init_iters: 0
val: {val_freq: 5000.0, save_img: False}
logger: {print_freq: 100, save_checkpoint_freq: 5000.0, use_tb_logger: true, wandb: {project: ~, resume_id: ~}}
dist_params: {backend: nccl, port: 29500}
is_train: true
dist: false
rank: 0
"""


@register(LOSS_REGISTRY)
class SquaredDistanceForTests(nn.Module):
    """Has the call of PerceptualLoss, and no network to download."""

    def forward(self, x, gt):
        return (x - gt).square().mean(), None


@pytest.fixture
def stock_on_cpu(monkeypatch):
    """Lets BasicSR's models run on a CPU, and copes with the strides that its filter2D cannot make a view of there."""
    monkeypatch.setattr(nn.Module, 'cuda', lambda module, *args: module)
    monkeypatch.setattr(torch.Tensor, 'cuda', lambda tensor, *args: tensor)
    for module in (stock_gan, stock_net):
        filter2d = module.filter2D
        monkeypatch.setattr(module, 'filter2D', lambda image, kernel, f=filter2d: f(image.contiguous(), kernel))


@pytest.fixture
def sharpening_in_float64(float64, monkeypatch):
    """Sharpening is in float32 alone; here is a substitute that can be in float64 too."""

    class Sharpener(nn.Module):
        radius = 51

        def forward(self, image):
            return image.sqrt()

    for module in (stock_gan, realesrgan_zoo_model):
        monkeypatch.setattr(module, 'USMSharp', Sharpener)


@pytest.fixture
def cuda_is_an_error(monkeypatch):
    def fail(*args):
        raise AssertionError('a model called .cuda()')

    monkeypatch.setattr(nn.Module, 'cuda', fail)
    monkeypatch.setattr(torch.Tensor, 'cuda', fail)


def gan_opt(model_type='RealESRGANZooModel', network_d=UNET, **top):
    perceptual = {'type': 'SquaredDistanceForTests'}
    return model_opt(model_type, GAN, network_d, perceptual_opt=perceptual) | PUBLISHED_SWITCHES | top


def net_opt(model_type='RealESRNetZooModel', **top):
    return model_opt(model_type) | {'gt_usm': True} | top


def with_steps_like_sgd(opt):
    """An eps above all gradients, so that Adam, BasicSR's only optimizer, does not enlarge the rounding of float32."""
    opt = copy.deepcopy(opt)
    for key in {'optim_g', 'optim_d'} & opt['train'].keys():
        opt['train'][key].update(lr=0.01, eps=1.0)
    return opt


def degrading(opt, **top):
    return copy.deepcopy(opt) | REAL | {'gt_size': 32, 'queue_size': 4} | top


def degradable(count, batch_size=2, gt_size=80, seed=2):
    """Batches as RealESRGANDataset gives them."""
    generator, kernels = torch.Generator().manual_seed(seed), RandomKernels({'degradation': 'real'})
    for _ in range(count):
        drawn = [kernels.draw() for _ in range(batch_size)]
        gt = torch.rand(batch_size, 3, gt_size, gt_size, generator=generator)
        yield {'gt': gt} | {name: torch.stack([k[name] for k in drawn]) for name in drawn[0]}


def train_degrading(opt, count, seed=0, train=True, frozen_norm=False):
    """Build the model, and feed it and train it ``count`` times. Returns the model, what it was fed, and its logs."""
    set_random_seed(seed)
    model = build_model(opt)
    if frozen_norm:
        net_d(model).eval()  # of a U-Net, this stops the power iteration of spectral norm and nothing else
    set_random_seed(seed)
    fed, logs = [], []
    for current_iter, batch in enumerate(degradable(count), start=1):
        model.feed_data(batch)
        fed.append(images_of(model))
        if train:
            model.optimize_parameters(current_iter)
            logs.append(dict(model.get_current_log()))
    return model, fed, logs


def images_of(model):
    """The images of a step: lq, gt and, where a model has it, the sharpened gt."""
    images = {name: getattr(model, name).clone() for name in ('lq', 'gt', 'gt_usm') if hasattr(model, name)}
    return images | ({'gt_usm': model.batch().gt_pix} if hasattr(model, 'batch') else {})


def net_d(model):
    return model.net_d if hasattr(model, 'net_d') else model.adversaries['net_d'].net_d


def assert_same_weights(stock, ours, *networks, rtol=1e-5, atol=1e-7):
    for name in networks:
        a, b = (net_d(m) if name == 'net_d' else getattr(m, name) for m in (stock, ours))
        for expected, actual in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def assert_same_logs(stock_logs, logs, rel=1e-5):
    assert stock_logs
    for expected, log in zip(stock_logs, logs, strict=True):
        assert {key: log[key] for key in expected} == pytest.approx(expected, rel=rel)


# ---------------------------------------------------------------- the feed


@pytest.mark.slow
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_the_feed_is_bit_equal_to_that_of_basicsr_realesrganmodel(seed, stock_on_cpu):
    expected = train_degrading(degrading(gan_opt('RealESRGANModel')), 8, seed, train=False)[1]
    fed = train_degrading(degrading(gan_opt()), 8, seed, train=False)[1]
    for stock, ours in zip(expected, fed, strict=True):
        for name in ('lq', 'gt', 'gt_usm'):
            assert torch.equal(ours[name], stock[name])


@pytest.mark.slow
@pytest.mark.parametrize('gt_usm', [True, False])
def test_the_feed_is_bit_equal_to_that_of_basicsr_realesrnetmodel(gt_usm, stock_on_cpu):
    expected = train_degrading(degrading(net_opt('RealESRNetModel', gt_usm=gt_usm)), 8, train=False)[1]
    fed = train_degrading(degrading(net_opt(gt_usm=gt_usm)), 8, train=False)[1]
    for stock, ours in zip(expected, fed, strict=True):
        assert torch.equal(ours['lq'], stock['lq'])
        assert torch.equal(ours['gt'], stock['gt'])


def test_the_defaults_of_the_switches_are_those_of_the_published_files():
    published = train_degrading(degrading(gan_opt()), 3)
    opt = {key: value for key, value in degrading(gan_opt()).items() if key not in SWITCHES}
    assert train_degrading(opt, 3)[2] == published[2]


def test_any_batch_size_trains(cuda_is_an_error):
    model, _, logs = train_degrading(degrading(gan_opt(), queue_size=5), 4)
    assert len(model.pool.lq) == 4
    assert all(torch.tensor(list(log.values())).isfinite().all() for log in logs)


@pytest.mark.slow
@pytest.mark.parametrize('opt', [gan_opt(), net_opt()], ids=['gan', 'net'])
@pytest.mark.parametrize('preset', ['mild', 'medium', 'real'])
def test_every_preset_trains_without_any_cuda(opt, preset, cuda_is_an_error):
    opt = opt | {'degradation': preset, 'gt_size': 32, 'queue_size': 4}
    model, _, logs = train_degrading(opt, 3)
    assert all(torch.tensor(list(log.values())).isfinite().all() for log in logs)
    assert logs[0]['l_g_pix'] != logs[1]['l_g_pix']


def test_an_option_file_of_real_esrgan_builds_and_trains_unchanged():
    logs = train_degrading(yaml.safe_load(STOCK_FILE), 2)[2]
    assert set(logs[0]) >= {'l_g_pix', 'l_g_gan', 'l_d_real', 'l_d_fake', 'out_d_real', 'out_d_fake'}


# ---------------------------------------------------------------- paired training


def paired(opt):
    return opt | {'high_order_degradation': False}


@pytest.mark.slow
@pytest.mark.parametrize(
    'switches', [(True, True, False), (False, False, True), (False, True, False), (True, False, True)]
)
def test_four_paired_steps_equal_those_of_basicsr_realesrganmodel(switches, stock_on_cpu, sharpening_in_float64):
    switches = dict(zip(SWITCHES, switches, strict=True))
    stock, stock_logs = train_steps(paired(gan_opt('RealESRGANModel', VGG, **switches)), 4)
    ours, logs = train_steps(paired(gan_opt(network_d=VGG, **switches)), 4)
    assert_same_logs(stock_logs, logs, rel=1e-6)  # mean logits are logged in float32
    assert_same_weights(stock, ours, 'net_g', 'net_g_ema', 'net_d', rtol=1e-8, atol=1e-11)


@pytest.mark.slow
def test_ldl_compares_with_the_plain_gt_as_in_basicsr_realesrganmodel(stock_on_cpu, sharpening_in_float64):
    runs = []
    for model_type in ('RealESRGANModel', 'RealESRGANZooModel'):
        opt = paired(gan_opt(model_type, VGG))
        opt['train']['ldl_opt'] = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
        opt['train']['ldl_detach_map'] = False
        runs.append(train_steps(opt, 4))
    assert_same_logs(runs[0][1], runs[1][1], rel=1e-6)  # mean logits are logged in float32
    assert runs[0][1][-1]['l_g_ldl'] > 0
    assert_same_weights(runs[0][0], runs[1][0], 'net_g', 'net_d', rtol=1e-8, atol=1e-11)


def test_the_first_paired_step_with_a_unet_equals_that_of_basicsr_but_for_the_power_iterations(stock_on_cpu):
    """BasicSR asks D about fake, real, fake, we about real, fake; each call moves spectral norm's estimate on."""
    stock_log = train_steps(paired(gan_opt('RealESRGANModel')), 1, gt_size=64)[1][0]
    log = train_steps(paired(gan_opt()), 1, gt_size=64)[1][0]
    assert {name: log[name] for name in stock_log} == pytest.approx(stock_log, rel=2e-2)
    for name in ('l_g_pix', 'l_g_percep'):
        assert log[name] == pytest.approx(stock_log[name], rel=1e-6)


def test_steps_on_the_fly_equal_those_of_basicsr_if_spectral_norm_stands_still(stock_on_cpu):
    stock, _, stock_logs = train_degrading(
        with_steps_like_sgd(degrading(gan_opt('RealESRGANModel'))), 4, frozen_norm=True
    )
    ours, _, logs = train_degrading(with_steps_like_sgd(degrading(gan_opt())), 4, frozen_norm=True)
    assert_same_logs(stock_logs, logs)
    assert_same_weights(stock, ours, 'net_g', 'net_g_ema', 'net_d')


@pytest.mark.parametrize('gt_usm', [True, False])
def test_three_steps_equal_those_of_basicsr_realesrnetmodel(gt_usm, stock_on_cpu):
    stock, _, stock_logs = train_degrading(with_steps_like_sgd(degrading(net_opt('RealESRNetModel', gt_usm=gt_usm))), 3)
    ours, _, logs = train_degrading(with_steps_like_sgd(degrading(net_opt(gt_usm=gt_usm))), 3)
    assert [log['l_g_pix'] for log in logs] == pytest.approx([log['l_pix'] for log in stock_logs], rel=1e-5)
    assert_same_weights(stock, ours, 'net_g', 'net_g_ema')


def test_three_paired_steps_equal_those_of_basicsr_realesrnetmodel(stock_on_cpu):
    stock, _ = train_steps(with_steps_like_sgd(paired(net_opt('RealESRNetModel'))), 3)
    ours, _ = train_steps(with_steps_like_sgd(paired(net_opt())), 3)
    assert_same_weights(stock, ours, 'net_g', 'net_g_ema')


# ---------------------------------------------------------------- validation and testing


@pytest.mark.parametrize('opt', [gan_opt(), net_opt()], ids=['gan', 'net'])
def test_validation_uses_pairs_as_they_are_and_training_continues(opt, tmp_path):
    write_pairs(tmp_path, gt_size=32)
    data = {'type': 'PairedImageDataset', 'name': 'pairs', 'phase': 'val', 'scale': 4, 'io_backend': {'type': 'disk'}}
    roots = {'dataroot_gt': str(tmp_path / 'gt'), 'dataroot_lq': str(tmp_path / 'lq')}
    loader = torch.utils.data.DataLoader(build_dataset(data | roots))
    psnr = {'type': 'calculate_psnr', 'crop_border': 4, 'test_y_channel': False}
    val = {'val': {'metrics': {'psnr': psnr}, 'pbar': False}}
    scores = []
    for model_type in ('GANZooModel', opt['model_type']):
        set_random_seed(0)
        model = build_model(degrading(opt | val | {'model_type': model_type}))
        model.validation(loader, 1, None, save_img=False)
        scores.append(model.metric_results['psnr'])
    assert scores[0] == scores[1] > 0
    model.feed_data(next(degradable(1)))
    model.optimize_parameters(1)
    assert model.get_current_log()['l_g_pix'] > 0


def test_a_validation_that_fails_leaves_the_model_in_training():
    model = build_model(degrading(gan_opt()))
    with pytest.raises(AttributeError):
        model.validation(None, 1, None)
    assert model.is_train


def test_testing_needs_no_key_of_the_degradation():
    opt = model_opt('RealESRGANZooModel') | {'is_train': False}
    model = build_model(opt)
    batch = next(batches(1, gt_size=32))
    model.feed_data(batch)
    model.test()
    assert model.output.shape == batch['gt'].shape


# ---------------------------------------------------------------- errors

MISTAKES = {
    'no numbers': (gan_opt(gt_size=32), 'the degradation lacks resize_prob'),
    'misspelt number': (gan_opt(gt_size=32, degradation='real', noise_rang=[1, 2]), 'did you mean noise_range'),
    'misspelt switch': (degrading(gan_opt(), l1_gt_ums=False), 'did you mean l1_gt_usm'),
    'misspelt pool': (degrading(gan_opt(), queue_sise=8), 'did you mean queue_size'),
    'misspelt mode': (degrading(gan_opt(), high_order_degredation=False), 'did you mean high_order_degradation'),
    'switch as text': (degrading(gan_opt(), gan_gt_usm='no'), "gan_gt_usm needs to be true or false, got 'no'"),
    'mode as text': (degrading(net_opt(), high_order_degradation='no'), 'high_order_degradation needs to be true'),
    'gt_usm as number': (degrading(net_opt(), gt_usm=1), 'gt_usm needs to be true or false, got 1'),
    'no gt_size': (degrading(gan_opt(), gt_size=None), 'gt_size, at the top level of the option file'),
    'gt_size that scale does not divide': (degrading(gan_opt(), gt_size=62), 'a multiple of the scale 4 from 26'),
    'gt_size below the radius of sharpening': (degrading(gan_opt(), gt_size=24), 'from 26, such as 256, got 24'),
    'queue_size 0': (degrading(gan_opt(), queue_size=0), 'queue_size needs to be a whole number from 1'),
    'two presets': (
        gan_opt(gt_size=32, degradation='mild', datasets={'train': {'degradation': 'real'}}),
        'degradation is mild at the top level but real in datasets.train',
    ),
    'a preset without kernels': (
        gan_opt(gt_size=32, degradation='mild', datasets={'train': {'blur_sigma': [0.2, 1]}}),
        'set degradation: mild there too',
    ),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_in_the_option_file_is_one_sentence(mistake):
    opt, expected = MISTAKES[mistake]
    with pytest.raises(OptionError) as caught:
        build_model(opt)
    assert expected in str(caught.value)
    assert '\n' not in str(caught.value)


WRONG_BATCHES = {
    'pairs without kernels': (
        True,
        next(batches(1, 64)),
        'no kernel1; for pairs of lq and gt set high_order_degradation: false',
    ),
    'kernels without lq': (False, next(degradable(1)), 'no lq; to make lq from gt set high_order_degradation: true'),
    'gt below gt_size': (True, next(degradable(1, gt_size=28)), 'gt is 28x28 pixels, smaller than gt_size 32'),
    'gt below the kernels': (
        True,
        next(degradable(1, gt_size=72)),
        'at least 74 and multiples of the scale 4, got 72x72',
    ),
}


@pytest.mark.parametrize('opt', [gan_opt(), net_opt()], ids=['gan', 'net'])
@pytest.mark.parametrize('mistake', WRONG_BATCHES)
def test_a_batch_that_does_not_fit_the_mode_is_named_with_the_way_out(mistake, opt):
    on_the_fly, batch, expected = WRONG_BATCHES[mistake]
    model = build_model(degrading(opt, high_order_degradation=on_the_fly))
    with pytest.raises(OptionError, match=expected):
        model.feed_data(batch)
