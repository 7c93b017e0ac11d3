"""The shipped option files say what their sources say. The numbers here are from the sources, not from the files."""

import re

import pytest
import torch
import yaml
from _training import OPTIONS
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo.config.build import build

FILES = sorted((OPTIONS / 'train').glob('*/*.yml'))
STABILISED = sorted((OPTIONS / 'train' / 'stabilised').glob('*.yml'))

X4NET, X2NET = 'RealESRGAN/realesrnet_x4plus', 'RealESRGAN/realesrnet_x2plus'
X4GAN, X2GAN = 'RealESRGAN/realesrgan_x4plus', 'RealESRGAN/realesrgan_x2plus'
FINETUNED, PAIRED = 'finetune/finetune_realesrgan_x4plus', 'finetune/finetune_realesrgan_x4plus_pairdata'
AESRGAN = ('successors/aesrgan_x4_single', 'successors/aesrgan_x4_multiscale')
LDL_SYNTHETIC, LDL_REAL = 'successors/ldl_x4_synthetic', 'successors/ldl_x4_real'
PSNR, GAN = ('SRGAN/msrresnet_x4_psnr', 'ESRGAN/rrdb_x4_psnr'), ('SRGAN/msrgan_x4', 'ESRGAN/esrgan_x4')
KAIR = tuple(f'successors/kair_msrgan_{kind}' for kind in ('gan', 'lsgan', 'wgan', 'softplusgan', 'ragan'))

KERNEL_KINDS = ['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso']
KERNEL_SHARES = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
FIVE_LAYERS = {'conv1_2': 0.1, 'conv2_2': 0.1, 'conv3_4': 1, 'conv4_4': 1, 'conv5_4': 1}


def adam(lr, beta2, *networks):
    keys = {'type': 'Adam', 'lr': lr, 'weight_decay': 0, 'betas': [0.9, beta2]}
    return {f'train.optim_{network}.{key}': value for network in networks for key, value in keys.items()}


def steps(milestones, total, gamma=0.5):
    return {
        'train.scheduler.type': 'MultiStepLR',
        'train.scheduler.milestones': milestones,
        'train.scheduler.gamma': gamma,
        'train.total_iter': total,
        'train.warmup_iter': -1,
    }


def l1(weight, key='pixel_opt'):
    return {f'train.{key}.type': 'L1Loss', f'train.{key}.loss_weight': weight, f'train.{key}.reduction': 'mean'}


def vgg(layers, weight=1.0):
    keys = {'vgg_type': 'vgg19', 'use_input_norm': True, 'range_norm': False, 'style_weight': 0, 'criterion': 'l1'}
    keys |= {'layer_weights': layers, 'perceptual_weight': weight}
    return {f'train.perceptual_opt.{key}': value for key, value in keys.items()}


def gan(loss, weight, **keys):
    keys = {'type': loss, 'loss_weight': weight, **keys}
    return {f'train.gan_opt.{key}': value for key, value in keys.items()}


def labelled(loss, weight, **keys):
    return gan(loss, weight, real_label_val=1.0, fake_label_val=0.0, **keys)


def network(which, kind, **keys):
    return {f'network_{which}.{key}': value for key, value in {'type': kind, 'num_in_ch': 3, **keys}.items()}


def rrdb(num_block=23, scale=4):
    sizes = {'scale': scale, 'num_feat': 64, 'num_block': num_block, 'num_grow_ch': 32}
    return {'scale': scale, **network('g', 'RRDBNet', num_out_ch=3, **sizes)}


def batch(size, gt_size, hflip=True, rot=True):
    keys = {'batch_size_per_gpu': size, 'gt_size': gt_size, 'use_hflip': hflip, 'use_rot': rot}
    return {f'datasets.train.{key}': value for key, value in keys.items()}


MSRRESNET = {'scale': 4, **network('g', 'MSRResNet', num_out_ch=3, num_feat=64, num_block=16, upscale=4)}
VGG_D = network('d', 'VGGDiscriminator', num_feat=64, input_size=128, norm='batch')
UNET_D = network('d', 'UNetSNDiscriminator', num_feat=64, skip_connection=True)
ONE_TO_ONE = {'train.net_d_iters': 1, 'train.net_d_init_iters': 0}
EMA, NO_EMA = {'train.ema_decay': 0.999}, {'train.ema_decay': 0}
USM = {'l1_gt_usm': True, 'percep_gt_usm': True, 'gan_gt_usm': False}
HALVINGS = [50000, 100000, 200000, 300000]
COSINE = {
    'train.scheduler.type': 'CosineAnnealingRestartLR',
    'train.scheduler.periods': [250000] * 4,
    'train.scheduler.restart_weights': [1] * 4,
    'train.scheduler.eta_min': 1e-7,
    'train.total_iter': 1000000,
    'train.warmup_iter': -1,
}
REAL_LOSSES = l1(1.0) | vgg(FIVE_LAYERS) | labelled('VanillaGANLoss', 0.1) | ONE_TO_ONE
FIRST_STAGE = 'experiments/msrresnet_x4_psnr/models/net_g_1000000.pth'


def start(file, param_key='params_ema', strict=True):
    keys = {'pretrain_network_g': file, 'param_key_g': param_key, 'strict_load_g': strict}
    return {f'path.{key}': value for key, value in keys.items()}


def published(file):
    return f'experiments/pretrained_models/{file}.pth'


def start_d(file):
    return {'path.pretrain_network_d': published(file), 'path.param_key_d': 'params', 'path.strict_load_d': True}


DEGRADATION = {
    'resize_prob': [0.2, 0.7, 0.1],
    'resize_range': [0.15, 1.5],
    'gaussian_noise_prob': 0.5,
    'noise_range': [1, 30],
    'poisson_scale_range': [0.05, 3],
    'gray_noise_prob': 0.4,
    'jpeg_range': [30, 95],
    'second_blur_prob': 0.8,
    'resize_prob2': [0.3, 0.4, 0.3],
    'resize_range2': [0.3, 1.2],
    'gaussian_noise_prob2': 0.5,
    'noise_range2': [1, 25],
    'poisson_scale_range2': [0.05, 2.5],
    'gray_noise_prob2': 0.4,
    'jpeg_range2': [30, 95],
    'queue_size': 180,
    'gt_size': 256,
    'datasets.train.blur_kernel_size': 21,
    'datasets.train.kernel_list': KERNEL_KINDS,
    'datasets.train.kernel_prob': KERNEL_SHARES,
    'datasets.train.sinc_prob': 0.1,
    'datasets.train.blur_sigma': [0.2, 3],
    'datasets.train.betag_range': [0.5, 4],
    'datasets.train.betap_range': [1, 2],
    'datasets.train.blur_kernel_size2': 21,
    'datasets.train.kernel_list2': KERNEL_KINDS,
    'datasets.train.kernel_prob2': KERNEL_SHARES,
    'datasets.train.sinc_prob2': 0.1,
    'datasets.train.blur_sigma2': [0.2, 1.5],
    'datasets.train.betag_range2': [0.5, 4],
    'datasets.train.betap_range2': [1, 2],
    'datasets.train.final_sinc_prob': 0.8,
    'datasets.train.crop_pad_size': 400,
}
ANIME = ('RealESRGAN/realesrnet_anime_6b', 'RealESRGAN/realesrgan_anime_6b', 'finetune/finetune_realesrgan_anime_6b')
GENERAL = ('RealESRGAN/realesrnet_general_x4v3', 'RealESRGAN/realesr_general_x4v3')
FINETUNED_X2 = 'finetune/finetune_realesrgan_x2plus'
REAL_NETS = (X4NET, X2NET, ANIME[0], GENERAL[0])
REAL_GANS = (X4GAN, X2GAN, FINETUNED, FINETUNED_X2, *ANIME[1:], GENERAL[1])
SRVGG = network('g', 'SRVGGNetCompact', num_out_ch=3, num_feat=64, num_conv=32, upscale=4, act_type='prelu')

#: (files, source, what it says by dotted key); files of one row share a source
SOURCES = [
    # ---- SRGAN and ESRGAN, BasicSR 8d56e3a
    (PSNR[:1], 'train_MSRResNet_x4.yml:59-65', MSRRESNET | start(None)),
    (PSNR[:1], 'train_MSRResNet_x4.yml:32-38', batch(16, 128)),
    (PSNR[:1], 'train_MSRResNet_x4.yml:76-96', EMA | adam(2e-4, 0.99, 'g') | COSINE | l1(1.0)),
    (GAN[:1], 'train_MSRGAN_x4.yml:47-58', MSRRESNET | VGG_D),
    (GAN[:1], 'train_MSRGAN_x4.yml:28-34', batch(16, 128)),
    (GAN[:1], 'train_MSRGAN_x4.yml:61-64', start(FIRST_STAGE, 'params')),
    (GAN[:1], 'train_MSRGAN_x4.yml:68-85', EMA | adam(1e-4, 0.99, 'g', 'd') | steps(HALVINGS, 400000)),
    (GAN[:1], 'train_MSRGAN_x4.yml:89-102', l1(1e-2) | vgg({'conv5_4': 1})),
    (GAN[:1], 'train_MSRGAN_x4.yml:103-111', labelled('VanillaGANLoss', 5e-3) | ONE_TO_ONE),
    (PSNR[1:], 'train_RRDBNet_PSNR_x4.yml:43-49', rrdb() | start(None)),
    (PSNR[1:], 'train_RRDBNet_PSNR_x4.yml:24-79', batch(16, 128) | EMA | adam(2e-4, 0.99, 'g') | COSINE | l1(1.0)),
    (GAN[1:], 'train_ESRGAN_x4.yml:43-48', rrdb() | VGG_D),
    (GAN[1:], 'train_ESRGAN_x4.yml:24,30', batch(16, 128)),
    (GAN[1:], 'train_ESRGAN_x4.yml:57-58', start('experiments/rrdb_x4_psnr/models/net_g_1000000.pth', 'params')),
    (GAN[1:], 'train_ESRGAN_x4.yml:63-80', EMA | adam(1e-4, 0.99, 'g', 'd') | steps(HALVINGS, 400000)),
    (GAN[1:], 'train_ESRGAN_x4.yml:84-97', l1(1e-2) | vgg({'conv5_4': 1})),
    (GAN[1:], 'train_ESRGAN_x4.yml:98-103, esrgan_model.py:65-72', labelled('RaGANLoss', 5e-3, detach_mean=True)),
    (GAN[1:], 'train_ESRGAN_x4.yml', ONE_TO_ONE),
    # ---- SRGAN, the paper
    (('SRGAN/srgan_x4_paper',), 'arXiv:1609.04802 Sec. 3.2', NO_EMA | steps([100000], 200000, 0.1)),
    (('SRGAN/srgan_x4_paper',), 'Sec. 3.2; beta2 is not stated', adam(1e-4, 0.999, 'g', 'd')),
    (('SRGAN/srgan_x4_paper',), 'Sec. 3.2: 16 crops; flips are not stated', batch(16, 96, False, False)),
    (('SRGAN/srgan_x4_paper',), 'Sec. 2.1.1, BasicSR for the generator', MSRRESNET | start(FIRST_STAGE)),
    (('SRGAN/srgan_x4_paper',), 'Sec. 2.1.1', network('d', 'SRGANDiscriminator', num_feat=64)),
    (('SRGAN/srgan_x4_paper',), 'Sec. 3.2: 1 / 12.75, here of L1', vgg({'relu5_4': 1}, 0.0784)),
    (('SRGAN/srgan_x4_paper',), 'Sec. 2.2, Eq. 3', labelled('VanillaGANLoss', 1e-3) | {'train.pixel_opt': None}),
    (('SRGAN/srgan_x4_paper',), 'Sec. 3.2: k = 1', ONE_TO_ONE),
    # ---- ESRGAN of 2018
    (('ESRGAN/esrgan_x4_2018',), 'ddc3440 train_ESRGAN.json', rrdb() | VGG_D | batch(16, 128) | NO_EMA),
    (('ESRGAN/esrgan_x4_2018',), 'SRRaGAN_model.py:83,88', adam(1e-4, 0.999, 'g', 'd')),
    (('ESRGAN/esrgan_x4_2018',), 'train_ESRGAN.json: niter 5e5', steps(HALVINGS, 500000) | ONE_TO_ONE),
    (('ESRGAN/esrgan_x4_2018',), 'train_ESRGAN.json', l1(1e-2) | vgg({'conv5_4': 1})),
    (('ESRGAN/esrgan_x4_2018',), 'SRRaGAN_model.py:136-154', labelled('RaGANLoss', 5e-3, detach_mean=False)),
    (('ESRGAN/esrgan_x4_2018',), 'train_ESRGAN.json', start(published('RRDB_PSNR_x4'), 'auto')),
    # ---- Real-ESRGAN a4abfb2
    ((*REAL_NETS, *REAL_GANS, *AESRGAN, LDL_REAL), 'train_realesrnet_x4plus.yml:12-31,43-59,68', DEGRADATION),
    (REAL_NETS, 'train_realesrnet_x4plus.yml:9', {'gt_usm': True}),
    (REAL_NETS, 'train_realesrnet_x4plus.yml:61-68', batch(12, 256, rot=False)),
    (
        REAL_NETS,
        'train_realesrnet_x4plus.yml:99-118',
        EMA | adam(2e-4, 0.99, 'g') | steps([1000000], 1000000) | l1(1.0),
    ),
    ((X4NET, X4GAN, FINETUNED, PAIRED), 'train_realesrnet_x4plus.yml:82-88', rrdb()),
    ((X2NET, X2GAN, FINETUNED_X2), 'train_realesrnet_x2plus.yml', rrdb(scale=2)),
    (ANIME, 'inference_realesrgan.py:67-70', rrdb(num_block=6)),
    (GENERAL, 'inference_realesrgan.py:79-85', {'scale': 4} | SRVGG),
    ((X4NET,), 'train_realesrnet_x4plus.yml:92-94', start(published('ESRGAN_SRx4_DF2KOST_official-ff704c30'))),
    ((X2NET,), 'train_realesrnet_x2plus.yml:92-94', start(published('RealESRGAN_x4plus'), strict=False)),
    ((*REAL_GANS, PAIRED), 'train_realesrgan_x4plus.yml:10-12', USM),
    ((*REAL_GANS, PAIRED), 'finetune_realesrgan_x4plus.yml:93-97', UNET_D),
    ((*REAL_GANS, PAIRED), 'train_realesrgan_x4plus.yml:64-71', batch(12, 256, rot=False)),
    ((*REAL_GANS, PAIRED), 'train_realesrgan_x4plus.yml:109-126', EMA | adam(1e-4, 0.99, 'g', 'd')),
    ((*REAL_GANS, PAIRED), 'train_realesrgan_x4plus.yml:121-126', steps([400000], 400000)),
    ((*REAL_GANS, PAIRED), 'train_realesrgan_x4plus.yml:130-159', REAL_LOSSES),
    ((X4GAN,), 'train_realesrgan_x4plus.yml:102-104', start(published('RealESRNet_x4plus'))),
    ((PAIRED,), 'finetune_realesrgan_x4plus_pairdata.yml:13', {'high_order_degradation': False}),
    ((FINETUNED, PAIRED), 'docs/Training.md:177-187,232-244', start(published('RealESRGAN_x4plus'))),
    ((FINETUNED, PAIRED), 'finetune_realesrgan_x4plus.yml:105-107', start_d('RealESRGAN_x4plus_netD')),
    (
        (FINETUNED_X2,),
        'docs/model_zoo.md:21-24',
        start(published('RealESRGAN_x2plus')) | start_d('RealESRGAN_x2plus_netD'),
    ),
    (ANIME[2:], 'docs/model_zoo.md:30', start(published('RealESRGAN_x4plus_anime_6B'))),
    (ANIME[2:], 'docs/model_zoo.md:36', start_d('RealESRGAN_x4plus_anime_6B_netD')),
    # ---- BSRGAN: the paper as KAIR's issue 136 quotes it, and KAIR fc1732f
    (('successors/bsrgan_x4',), 'issue 136', network('d', 'PatchGANDiscriminator', num_feat=64, num_layers=3)),
    (
        ('successors/bsrgan_x4',),
        'network_discriminator.py:22-86',
        {'network_d.norm': 'spectral', 'network_d.padding': 2},
    ),
    (('successors/bsrgan_x4',), 'issue 136', l1(1.0) | vgg({'conv4_4': 1}) | labelled('LSGANLoss', 0.1)),
    (('successors/bsrgan_x4',), 'train_bsrgan_x4_gan.json:24,26,31', batch(4, 288) | {'gt_size': 288}),
    (('successors/bsrgan_x4',), 'train_bsrgan_x4_gan.json:48-63,91', rrdb() | EMA),
    (('successors/bsrgan_x4',), 'train_bsrgan_x4_gan.json:96, model_gan.py:162-163', adam(5e-5, 0.999, 'g', 'd')),
    (('successors/bsrgan_x4',), 'train_bsrgan_x4_gan.json:104-105', steps([800000, 1600000], 1000000) | ONE_TO_ONE),
    (('successors/bsrgan_x4',), 'our choice', dict.fromkeys(USM, False) | {'queue_size': 180}),
    (('successors/bsrgan_x4',), 'our choice', {'datasets.train.crop_pad_size': 400}),
    # ---- A-ESRGAN e1a71de
    (AESRGAN, 'train_aesrgan_x4plus.yml:10-12', USM | rrdb()),
    (AESRGAN[:1], 'train_aesrgan_x4plus.yml:71', batch(6, 256, rot=False)),
    (AESRGAN[1:], 'the name of train_multiaesrgan_x4plus.yml: B12', batch(12, 256, rot=False)),
    (
        AESRGAN[:1],
        'train_aesrgan_x4plus.yml:95-98',
        network('d', 'AttentionUNetDiscriminator', num_feat=64, norm='batch'),
    ),
    (
        AESRGAN[1:],
        'train_multiaesrgan_x4plus.yml:95-98',
        network('d', 'MultiScaleAttentionUNetDiscriminator', num_feat=64, num_scales=2, norm='batch'),
    ),
    (AESRGAN, 'train_aesrgan_x4plus.yml:103-105', start(published('RealESRNet_x4plus'))),
    (AESRGAN, 'train_aesrgan_x4plus.yml:110-127', EMA | adam(1e-4, 0.99, 'g', 'd') | steps([400000], 400000)),
    (AESRGAN, 'train_aesrgan_x4plus.yml:131-157', REAL_LOSSES),
    (AESRGAN[1:], 'aesrgan_model.py:213-249', {'train.gan_opt.scale_reduction': 'sum'}),
    # ---- LDL 2d22ddd
    ((LDL_SYNTHETIC, LDL_REAL), 'train_Synthetic_LDL.yml:41-46, train_Realworld_LDL.yml:83-89', rrdb()),
    ((LDL_SYNTHETIC, LDL_REAL), 'basicsr/losses/loss_util.py:136-145 of BasicSR', {'train.ldl_detach_map': False}),
    ((LDL_SYNTHETIC,), 'train_Synthetic_LDL.yml:21,28,48-51', batch(16, 128) | VGG_D),
    ((LDL_SYNTHETIC,), 'train_Synthetic_LDL.yml:55-57', start(published('ESRGAN_PSNR_SRx4_DF2K_official-150ff491'))),
    (
        (LDL_SYNTHETIC,),
        'train_Synthetic_LDL.yml:62-78,114',
        adam(1e-4, 0.99, 'g', 'd') | steps([300000], 300000, 1) | EMA,
    ),
    ((LDL_SYNTHETIC,), 'train_Synthetic_LDL.yml:82-104', l1(1e-2) | l1(1.0, 'ldl_opt') | vgg(FIVE_LAYERS)),
    ((LDL_SYNTHETIC,), 'train_Synthetic_LDL.yml:105-110', labelled('RaGANLoss', 5e-3, detach_mean=True) | ONE_TO_ONE),
    ((LDL_REAL,), 'train_Realworld_LDL.yml:10-12,64,71,92-96', USM | batch(4, 256, rot=False) | UNET_D),
    ((LDL_REAL,), 'train_Realworld_LDL.yml:101-103', start(published('RealESRNet_x4plus'))),
    ((LDL_REAL,), 'train_Realworld_LDL.yml:108-124,162', adam(1e-4, 0.99, 'g', 'd') | steps([400000], 400000) | EMA),
    ((LDL_REAL,), 'train_Realworld_LDL.yml:128-158', REAL_LOSSES | l1(1e-2) | l1(1.0, 'ldl_opt')),
    # ---- KAIR fc1732f
    (KAIR, 'train_msrresnet_gan.json:27,30,85', batch(32, 96) | EMA),
    (KAIR, 'train_msrresnet_gan.json:41-59, with the nearest networks', MSRRESNET | VGG_D | ONE_TO_ONE),
    (KAIR, 'train_msrresnet_gan.json:73-78', l1(1e-2) | vgg({'conv5_4': 1})),
    (KAIR, 'train_msrresnet_gan.json:90, model_gan.py:162-163', adam(1e-5, 0.999, 'g', 'd')),
    (
        KAIR,
        'train_msrresnet_gan.json:98; gamma and total are our choice',
        steps([200000, 800000, 1200000, 2000000], 1000000),
    ),
    *((KAIR[i : i + 1], 'loss.py:142-159', gan('GANZooLoss', 5e-3, gan_type=KAIR[i].split('_')[-1])) for i in range(5)),
]
ROWS = [(file, key, value, source) for files, source, says in SOURCES for file in files for key, value in says.items()]
# Where two rows speak of one key, as LDL's pixel loss, the later one is that file's own.
TABLE = {(file, key): (value, source) for file, key, value, source in ROWS}
REPRODUCED = sorted({file for file, _ in TABLE})
OUR_CHOICE = ['finetune/finetune_small_data', *(str(p.relative_to(OPTIONS / 'train'))[:-4] for p in STABILISED)]


def content(file):
    return yaml.safe_load((OPTIONS / 'train' / f'{file}.yml').read_text())


def leaves(block, prefix=''):
    """Values by dotted key; what ``layer_weights`` holds counts as one value."""
    for key, value in block.items():
        if isinstance(value, dict) and key != 'layer_weights':
            yield from leaves(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


@pytest.mark.parametrize('file', REPRODUCED)
def test_a_file_says_what_its_sources_say(file):
    found = dict(leaves(content(file)))
    wrong = [
        f'{key} is {found.get(key)!r}, but {value!r} in {source}'
        for (of, key), (value, source) in TABLE.items()
        if of == file and (found.get(key) != value or isinstance(found.get(key), bool) != isinstance(value, bool))
    ]
    assert not wrong, '\n'.join(wrong)


#: what says where and how fast a training runs, not what it computes
FREE = re.compile(
    r'name|model_type|num_gpu|manual_seed|degradation|path\..*|val\..*|logger\..*|dist_params\..*|datasets\.val.*|'
    r'datasets\.train\.(name|type|data\w+|meta_info|filename_tmpl|num_worker_per_gpu|dataset_enlarge_ratio|prefetch_mode|'
    r'degradation)|.*\.reduction|train\.perceptual_opt\.type'
)


@pytest.mark.parametrize('file', REPRODUCED)
def test_the_table_covers_every_number_of_a_file(file):
    keys = {key for key, _ in leaves(content(file)) if not FREE.fullmatch(key)}
    assert sorted(key for key in keys if (file, key) not in TABLE) == []


def test_every_file_is_in_the_table_or_says_that_it_is_our_choice():
    assert sorted([*REPRODUCED, *OUR_CHOICE]) == sorted(
        str(path.relative_to(OPTIONS / 'train').with_suffix('')) for path in FILES
    )
    for file in OUR_CHOICE:
        assert 'our choice' in (OPTIONS / 'train' / f'{file}.yml').read_text().lower()


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_the_header_says_what_how_and_from_where(path):
    header, _, rest = path.read_text().partition('\n\n')
    lines = header.splitlines()
    assert lines[0].endswith('.')
    assert lines[2] == f'#   python -m basicsr_ganzoo.train -opt options/{path.relative_to(OPTIONS)}'
    for word in ('Paper: ', 'Source: ', 'Data: ', 'Validation: '):
        assert word in header, word
    assert re.search(r'^# (First stage|Start): ', header, re.MULTILINE)
    assert re.search(r'^# Where sources disagree|[Oo]ur choice', header, re.MULTILINE)
    assert all(line.startswith('#') for line in lines)
    assert rest.startswith(f'name: {path.stem}\n')
    assert max(map(len, path.read_text().splitlines())) <= 120


#: keys that BasicSR's train.py does not read, or, as num_gpu, in a way of its own
ONLY_OURS = ('num_gpu', 'logger.keep_last', 'imports', 'path.experiments_root')


@pytest.mark.parametrize('path', sorted((OPTIONS / 'train').rglob('*.yml')), ids=lambda path: path.stem)
def test_the_header_names_the_keys_that_only_our_own_training_honours(path):
    line, keys = path.read_text().splitlines()[3], dict(leaves(yaml.safe_load(path.read_text())))
    scripts = "BasicSR's and Real-ESRGAN's" if keys['model_type'].startswith('RealESR') else "BasicSR's"
    assert line.startswith(f'# Also runs under {scripts} train.py (`ganzoo run`)')
    assert [key for key in ONLY_OURS if key in keys and key not in line] == []


@pytest.mark.parametrize('path', sorted(OPTIONS.rglob('*.yml')), ids=lambda path: path.stem)
def test_a_ratio_is_a_number_because_basicsr_calculates_with_it(path):
    train = yaml.safe_load(path.read_text())['datasets']['train']
    assert type(train.get('dataset_enlarge_ratio', 1)) in (int, float)


@pytest.mark.parametrize('path', sorted(OPTIONS.rglob('*.yml')), ids=lambda path: path.stem)
def test_no_number_of_a_file_is_text_and_no_key_comes_twice(path):
    text = path.read_text()
    for key, value in leaves(yaml.safe_load(text)):
        for item in value if isinstance(value, list) else [value]:
            assert not (isinstance(item, str) and re.fullmatch(r'[-+]?[\d.]+([eE][-+]?\d+)?', item)), f'{key}: {item!r}'
    yaml.load(text, UniqueKeys)


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key that comes twice in a mapping, of which YAML would silently take the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f'a key comes twice: {keys}'
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_files_validate_and_need_no_anchors(path):
    opt, text = yaml.safe_load(path.read_text()), path.read_text()
    val = opt['datasets']['val']
    assert val['dataroot_lq']
    assert ('dataroot_gt' in val) == ('metrics' in opt['val']) == (val['type'] != 'LQFolderDataset')
    assert opt['val']['val_freq'] <= opt['train']['total_iter']
    assert opt['num_gpu'] == 'auto'
    assert not re.search(r'[&*]\w+\s*$|<<:', text, re.MULTILINE)


def test_a_first_stage_that_is_trained_here_is_where_its_own_file_leaves_it():
    names = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
    chained = [opt['path']['pretrain_network_g'] or '' for opt in names.values()]
    chained = [start for start in chained if start.startswith('experiments/') and 'pretrained_models' not in start]
    assert chained
    for start_file in chained:
        _, stage, _, file = start_file.split('/')
        assert file == f'net_g_{names[stage]["train"]["total_iter"]}.pth'
        assert names[stage]['train']['total_iter'] % names[stage]['logger']['save_checkpoint_freq'] == 0


def test_the_small_set_file_warms_up_and_keeps_checkpoints_to_compare():
    opt = content('finetune/finetune_small_data')
    train = opt['train']
    assert train['warmup_iter'] > train['net_d_init_iters'] > 0
    assert train['optim_g']['lr'] < 1e-4
    assert train['total_iter'] == 10 * opt['logger']['save_checkpoint_freq'] == 10 * opt['val']['val_freq']
    assert train['ema_decay'] == 0.999
    assert opt['degradation'] == opt['datasets']['train']['degradation']
    assert opt['gt_size'] == opt['datasets']['train']['gt_size']


PARAMETERS = {
    ('network_g', 'SRGAN/msrgan_x4'): 1_517_571,
    ('network_g', 'ESRGAN/esrgan_x4'): 16_697_987,
    ('network_g', X4GAN): 16_697_987,
    ('network_g', X2GAN): 16_703_171,
    ('network_g', ANIME[1]): 4_467_779,
    ('network_g', GENERAL[1]): 1_213_296,
    ('network_d', 'SRGAN/srgan_x4_paper'): 23_565_505,
    ('network_d', 'ESRGAN/esrgan_x4'): 14_499_401,
    ('network_d', X4GAN): 4_376_897,
    ('network_d', 'successors/bsrgan_x4'): 2_764_737,
    ('network_d', AESRGAN[0]): 5_399_044,
    ('network_d', AESRGAN[1]): 10_798_088,
}


@pytest.mark.parametrize(('key', 'file'), PARAMETERS)
def test_networks_have_as_many_parameters_as_the_published_ones(key, file):
    with torch.device('meta'):
        net = build(ARCH_REGISTRY, content(file)[key], key)
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[key, file]
