"""Rules between keys: combinations that crash late, that lose, or that have no effect."""

import re
from pathlib import Path

from basicsr_ganzoo import _vgg
from basicsr_ganzoo.checking import error, get, warning
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel


def check(opt):
    """Findings about combinations."""
    for rule in (_gan, _ldl, _schedule, _degradation, _pool, _effect, _pretrained, _perceptual):
        yield from rule(opt)


def _gan(opt):
    has_d, has_loss = bool(opt.get('network_d')), bool(get(opt, 'train.gan_opt'))
    if has_d != has_loss:
        missing, present = ('network_d', 'train.gan_opt') if has_loss else ('train.gan_opt', 'network_d')
        yield error(missing, f'{present} is there but this is not; give both for a GAN, or neither')
    if has_d and has_loss and not get(opt, 'train.optim_d'):
        yield error('train.optim_d', 'the discriminator has no optimizer; give one with a type and lr')
    if not any(get(opt, f'train.{key}') for key in ('pixel_opt', 'perceptual_opt', 'gan_opt')):
        yield error('train', 'there is nothing to train with; give pixel_opt, perceptual_opt or gan_opt')


def _ldl(opt):
    if get(opt, 'train.ldl_opt') and not get(opt, 'train.ema_decay', 0):
        yield error('train.ldl_opt', 'it compares with the averaged generator; set train.ema_decay, such as 0.999')


def _schedule(opt):
    total, alone = get(opt, 'train.total_iter', 0), get(opt, 'train.net_d_init_iters', 0)
    if isinstance(total, int) and isinstance(alone, int) and 0 < total <= alone:
        yield error('train.net_d_init_iters', f'{alone} of {total} iterations: the generator would never train')
    every = get(opt, 'train.net_d_iters', 1)
    if not isinstance(every, int) or every < 1:
        yield error('train.net_d_iters', f'this needs to be a whole number above 0, got {every!r}')


def _degradation(opt):
    from basicsr.utils.registry import MODEL_REGISTRY

    model = dict(iter(MODEL_REGISTRY)).get(opt.get('model_type'))
    paired = 'Paired' in str(get(opt, 'datasets.train.type', ''))
    degrading = isinstance(model, type) and issubclass(model, DegradingModel)
    if degrading and paired and opt.get('high_order_degradation', True):
        yield error('high_order_degradation', 'pairs have no kernel1 to degrade with; set it to false')
    if degrading and not paired and opt.get('high_order_degradation', True) is False:
        yield error('high_order_degradation', 'without degradation there is no lq; use PairedFolderDataset, or true')


def _pool(opt):
    batch, queue = get(opt, 'datasets.train.batch_size_per_gpu'), opt.get('queue_size', 180)
    stock = opt.get('model_type') in ('RealESRGANModel', 'RealESRNetModel')
    if stock and isinstance(batch, int) and isinstance(queue, int) and batch > 0 and queue % batch:
        yield error('queue_size', f'{queue} is no multiple of the batch {batch}; {queue // batch * batch or batch} is')


def _effect(opt):
    for key in ('pixel_opt', 'ldl_opt', 'gan_opt'):
        if get(opt, f'train.{key}.loss_weight') == 0:
            yield warning(f'train.{key}.loss_weight', 'with a weight of 0 this loss has no effect')
    block = get(opt, 'train.perceptual_opt')
    if isinstance(block, dict) and not block.get('perceptual_weight', 1.0) and not block.get('style_weight', 0):
        yield warning('train.perceptual_opt', 'with both weights 0 this loss has no effect')


def _pretrained(opt):
    generator, discriminator = (get(opt, f'path.pretrain_network_{which}') for which in 'gd')
    if generator and discriminator and re.search(r'RealESRNet|PSNR|_l1\b', Path(str(generator)).name):
        yield warning(
            'path.pretrain_network_g',
            f'{Path(generator).name} was trained without a GAN, the discriminator was; it wins at once. '
            'Take the generator that belongs to it, such as RealESRGAN_x4plus.pth with RealESRGAN_x4plus_netD.pth',
        )
    if get(opt, 'train.gan_opt') and not generator:
        yield warning('path.pretrain_network_g', 'a GAN from random weights rarely ends well; train with L1 first')


def _perceptual(opt):
    if not get(opt, 'train.perceptual_opt') or get(opt, 'train.perceptual_opt.vgg_type', 'vgg19') != 'vgg19':
        return
    if not _vgg.is_here():
        told = f'{_vgg.FILE} ({_vgg.SIZE}) will be fetched from {_vgg.URL}; offline, put it at {_vgg.PLACE}'
        yield warning('train.perceptual_opt', told)
