"""Rules between keys: combinations that crash late, that lose, or that have no effect."""

import re
from pathlib import Path

from basicsr_ganzoo.checking.effects import perceptual_losses
from basicsr_ganzoo.config.findings import error, warning
from basicsr_ganzoo.config.schema.base import DEGRADING, STOCK_GANS
from basicsr_ganzoo.degradations import SecondOrderDegradation
from basicsr_ganzoo.degradations.kernels import check_same_preset
from basicsr_ganzoo.degradations.second_order import KEYS
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.adversarial import HingeGANLoss
from basicsr_ganzoo.models.content_losses import further_losses
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel, check_gt_size
from basicsr_ganzoo.weights import vgg


def check(plan):
    """Findings about combinations."""
    for rule in (_gan, _ldl, _schedule, _data, _degradation, _pool, _stock_loss, _pretrained, _perceptual):
        yield from rule(plan)


def _gan(plan):
    losses = ('pixel_opt', 'perceptual_opt', 'gan_opt', *further_losses(plan.names('train')))
    if not plan.has('adversaries') and not any(plan.has(f'train.{key}') for key in losses):
        yield error('train', 'there is nothing to train with; give pixel_opt, perceptual_opt or gan_opt')
    if plan.has('adversaries'):
        return
    has_d, has_loss = plan.has('network_d'), plan.has('train.gan_opt')
    if has_d != has_loss:
        missing, present = ('network_d', 'train.gan_opt') if has_loss else ('train.gan_opt', 'network_d')
        yield error(missing, f'{present} is there but this is not; give both for a GAN, or neither')
    if has_d and has_loss and not plan.has('train.optim_d'):
        yield error('train.optim_d', 'the discriminator has no optimizer; give one with a type and lr')


def _ldl(plan):
    if plan.get('train.ldl_opt') and not plan.has('train.ema_decay'):
        yield error('train.ldl_opt', 'it compares with the averaged generator; set train.ema_decay, such as 0.999')


def _schedule(plan):
    total = plan.get('train.total_iter')
    if total is None:
        return
    alone, warmup = plan.get('train.net_d_init_iters', 0), plan.get('train.warmup_iter', -1)
    if total <= alone:
        yield error('train.net_d_init_iters', f'{alone} of {total} iterations: the generator would never train')
    if warmup > total:
        yield warning('train.warmup_iter', f'{warmup} of {total} iterations: the learning rate never gets to its value')
    periods = plan.get('train.scheduler.periods')
    if periods and sum(periods) < total:
        yield error('train.scheduler.periods', f'they end at {sum(periods)}, and total_iter is {total}; give more')


def _data(plan):
    validates = any(name.startswith('val') for name in plan.names('datasets'))
    if validates != plan.has('val'):
        missing, present = ('val', 'datasets.val') if validates else ('datasets.val', 'val')
        yield warning(missing, f'{present} is there but this is not, so there will be no validation')
    train = plan.get('datasets.train', {})
    if train.get('prefetch_mode') == 'cuda' and train.get('pin_memory') is not True:
        yield error('datasets.train.pin_memory', 'prefetch_mode: cuda needs pin_memory: true')


def _degradation(plan):
    ours = isinstance(plan.model, type) and issubclass(plan.model, DegradingModel)
    if not ours and plan.opt.get('model_type') not in DEGRADING:
        return
    paired, degrades = 'Paired' in plan.get('datasets.train.type', ''), plan.get('high_order_degradation', True)
    if paired and degrades:
        yield error('high_order_degradation', 'pairs have no kernel1 to degrade with; set it to false')
    elif not paired and not degrades:
        yield error('high_order_degradation', 'without degradation there is no lq; use PairedFolderDataset, or true')
    elif ours and degrades and not plan.is_wrong('scale', 'degradation', *KEYS):
        yield from _numbers_of_degradation(plan)


def _numbers_of_degradation(plan):
    opt = plan.opt
    try:
        degradation = SecondOrderDegradation({key: opt[key] for key in ('scale', 'degradation', *KEYS) if key in opt})
    except OptionError as mistake:
        yield error('degradation', mistake)
        return
    for key, trial in (('degradation', check_same_preset), ('gt_size', check_gt_size)):
        try:
            trial(opt)
        except OptionError as mistake:
            yield error(key, mistake)
    yield from _crop(plan, degradation)


def _crop(plan, degradation):
    """The crop of GTFolderDataset is degraded first and cut to gt_size after that."""
    train, wanted = plan.get('datasets.train', {}), plan.opt.get('gt_size')
    if train.get('type') != 'GTFolderDataset' or not wanted or 'gt_size' not in train:
        return
    buffer, scale = max(train['gt_size'], train.get('crop_pad_size', 400)), degradation.scale
    if buffer < wanted:
        yield error('datasets.train.crop_pad_size', f'{buffer} pixels hold no crop of gt_size {wanted}; give as many')
    elif buffer < degradation.min_size or buffer % scale:
        minimum = -(-degradation.min_size // scale) * scale
        message = f'a multiple of the scale {scale} from {minimum}, because this much is degraded, got {buffer}'
        yield error('datasets.train.crop_pad_size', f'this needs to be {message}')


def _pool(plan):
    batch, queue = plan.get('datasets.train.batch_size_per_gpu'), plan.opt.get('queue_size', 180)
    if plan.opt.get('model_type') in ('RealESRGANModel', 'RealESRNetModel') and batch and queue % batch:
        yield error('queue_size', f'{queue} is no multiple of the batch {batch}; {queue // batch * batch or batch} is')


def _stock_loss(plan):
    """GAN losses that BasicSR's models cannot call."""
    loss, model = plan.built.get('train.gan_opt'), plan.opt.get('model_type')
    hinge = isinstance(loss, HingeGANLoss) or getattr(loss, 'gan_type', None) == 'hinge'
    if model == 'ESRGANModel' and hinge:
        yield error('train.gan_opt.gan_type', 'hinge has no gradient for G in ESRGANModel; use model_type: GANZooModel')
    elif model in STOCK_GANS and getattr(loss, 'relativistic', False):
        yield error('train.gan_opt', f'{model} cannot pair logits; use model_type: GANZooModel, or pairing: plain')


def _pretrained(plan):
    generator, discriminator = (plan.get(f'path.pretrain_network_{which}') for which in 'gd')
    if generator and discriminator and re.search(r'RealESRNet|PSNR|_l1\b', Path(generator).name):
        yield warning(
            'path.pretrain_network_g',
            f'{Path(generator).name} was trained without a GAN, the discriminator was; it wins at once. '
            'Take the generator that belongs to it, such as RealESRGAN_x4plus.pth with RealESRGAN_x4plus_netD.pth',
        )
    if (plan.has('train.gan_opt') or plan.has('adversaries')) and not generator:
        yield warning('path.pretrain_network_g', 'a GAN from random weights rarely ends well; train with L1 first')


def _perceptual(plan):
    for key, block in perceptual_losses(plan).items():
        if block.get('vgg_type', 'vgg19') == 'vgg19' and not vgg.is_here():
            message = f'{vgg.FILE} ({vgg.SIZE}) will be fetched from {vgg.URL}; offline, put it at {vgg.PLACE}'
            yield warning(key, message)
