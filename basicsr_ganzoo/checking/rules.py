"""Rules between keys: combinations that crash late, that lose, or that have no effect."""

import re
from pathlib import Path

from basicsr_ganzoo.adversarial.options import HOMES
from basicsr_ganzoo.checking.effects import perceptual_losses
from basicsr_ganzoo.checking.findings import error, get, warning
from basicsr_ganzoo.checking.values import is_positive
from basicsr_ganzoo.config.build import is_number
from basicsr_ganzoo.degradations.kernels import check_same_preset
from basicsr_ganzoo.degradations.pair_pool import TrainingPairPool
from basicsr_ganzoo.degradations.second_order import KEYS, SecondOrderDegradation
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.content_losses import further_losses
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel
from basicsr_ganzoo.weights import vgg

STOCK_GANS = ('SRGANModel', 'ESRGANModel')
STOCK_DEGRADING = ('RealESRGANModel', 'RealESRNetModel')


def check(opt):
    """Findings about combinations."""
    for rule in (_gan, _ldl, _schedule, _data, _degradation, _pool, _effect, _pretrained, _perceptual):
        yield from rule(opt)


def _gan(opt):
    if not any(get(opt, f'train.{key}') for key in ('pixel_opt', 'perceptual_opt', 'gan_opt')) and not (
        opt.get('adversaries') or further_losses(get(opt, 'train', {}))
    ):
        yield error('train', 'there is nothing to train with; give pixel_opt, perceptual_opt or gan_opt')
    if opt.get('adversaries'):
        return
    has_d, has_loss = bool(opt.get('network_d')), bool(get(opt, 'train.gan_opt'))
    if has_d != has_loss:
        missing, present = ('network_d', 'train.gan_opt') if has_loss else ('train.gan_opt', 'network_d')
        yield error(missing, f'{present} is there but this is not; give both for a GAN, or neither')
    if has_d and has_loss and not get(opt, 'train.optim_d'):
        yield error('train.optim_d', 'the discriminator has no optimizer; give one with a type and lr')


def _ldl(opt):
    if get(opt, 'train.ldl_opt') and not get(opt, 'train.ema_decay', 0):
        yield error('train.ldl_opt', 'it compares with the averaged generator; set train.ema_decay, such as 0.999')


def _schedule(opt):
    total, alone = get(opt, 'train.total_iter', 0), get(opt, 'train.net_d_init_iters', 0)
    if is_number(total) and is_number(alone) and 0 < total <= alone:
        yield error('train.net_d_init_iters', f'{alone} of {total} iterations: the generator would never train')
    warmup = get(opt, 'train.warmup_iter', -1)
    if is_number(total) and is_number(warmup) and warmup > total > 0:
        yield warning('train.warmup_iter', f'{warmup} of {total} iterations: the learning rate never gets to its value')
    periods = get(opt, 'train.scheduler.periods')
    if isinstance(periods, list) and all(map(is_number, periods)) and is_number(total) and sum(periods) < total:
        yield error('train.scheduler.periods', f'they end at {sum(periods)}, and total_iter is {total}; give more')


def _data(opt):
    validates = any(str(name).startswith('val') for name in get(opt, 'datasets', {}))
    if validates != bool(opt.get('val')):
        missing, present = ('val', 'datasets.val') if validates else ('datasets.val', 'val')
        yield warning(missing, f'{present} is there but this is not, so there will be no validation')
    train = get(opt, 'datasets.train', {})
    if train.get('prefetch_mode') == 'cuda' and train.get('pin_memory') is not True:
        yield error('datasets.train.pin_memory', 'prefetch_mode: cuda needs pin_memory: true')


def _degradation(opt):
    from basicsr.utils.registry import MODEL_REGISTRY

    model = dict(iter(MODEL_REGISTRY)).get(opt.get('model_type'))
    paired = 'Paired' in str(get(opt, 'datasets.train.type', ''))
    degrading = (
        isinstance(model, type) and issubclass(model, DegradingModel) or opt.get('model_type') in STOCK_DEGRADING
    )
    if degrading and paired and opt.get('high_order_degradation', True):
        yield error('high_order_degradation', 'pairs have no kernel1 to degrade with; set it to false')
    if degrading and not paired and opt.get('high_order_degradation', True) is False:
        yield error('high_order_degradation', 'without degradation there is no lq; use PairedFolderDataset, or true')
    elif isinstance(model, type) and issubclass(model, DegradingModel) and not paired and is_positive(opt.get('scale')):
        yield from _numbers_of_degradation(opt)


def _numbers_of_degradation(opt):
    try:
        degradation = SecondOrderDegradation({key: opt[key] for key in ('scale', 'degradation', *KEYS) if key in opt})
    except OptionError as mistake:
        yield error('degradation', mistake)
        return
    for key, trial in (('degradation', lambda: check_same_preset(opt)), ('queue_size', lambda: _pool_of(opt))):
        try:
            trial()
        except OptionError as mistake:
            yield error(key, mistake)
    yield from _crop(opt, degradation)


def _pool_of(opt):
    return TrainingPairPool(opt.get('queue_size', 180))


def _crop(opt, degradation):
    """The crop of GTFolderDataset is degraded first and cut to gt_size after that."""
    sizes = opt.get('gt_size'), get(opt, 'datasets.train.gt_size'), get(opt, 'datasets.train.crop_pad_size', 400)
    if get(opt, 'datasets.train.type') != 'GTFolderDataset' or not all(isinstance(size, int) for size in sizes):
        return
    wanted, buffer = sizes[0], max(sizes[1:])
    if buffer < wanted:
        yield error('datasets.train.crop_pad_size', f'{buffer} pixels hold no crop of gt_size {wanted}; give as many')
    elif buffer < degradation.min_size or buffer % degradation.scale:
        least = -(-degradation.min_size // degradation.scale) * degradation.scale
        told = f'a multiple of the scale {degradation.scale} from {least}, because this much is degraded, got {buffer}'
        yield error('datasets.train.crop_pad_size', f'this needs to be {told}')


def _pool(opt):
    batch, queue = get(opt, 'datasets.train.batch_size_per_gpu'), opt.get('queue_size', 180)
    stock = opt.get('model_type') in STOCK_DEGRADING
    if stock and isinstance(batch, int) and isinstance(queue, int) and batch > 0 and queue % batch:
        yield error('queue_size', f'{queue} is no multiple of the batch {batch}; {queue // batch * batch or batch} is')


def _effect(opt):
    loss, pairing, model = get(opt, 'train.gan_opt.type'), get(opt, 'train.gan_opt.pairing'), opt.get('model_type')
    if model == 'ESRGANModel' and loss == 'GANLoss' and get(opt, 'train.gan_opt.gan_type') == 'hinge':
        yield error('train.gan_opt.gan_type', 'hinge has no gradient for G in ESRGANModel; use model_type: GANZooModel')
    relativistic = loss in ('RaGANLoss', 'RpGANLoss') or pairing not in (None, 'plain')
    if model in (*STOCK_GANS, *STOCK_DEGRADING) and relativistic:
        yield error('train.gan_opt', f'{model} cannot pair logits; use model_type: GANZooModel, or pairing: plain')
    if model in (*STOCK_GANS, *STOCK_DEGRADING):
        yield from _unread(opt, model)


def _unread(opt, model):
    """Keys that BasicSR's models leave unread, without a word."""
    ours = [f'train.{key}' for key, home in HOMES.items() if home == 'train.' and key not in ('gan_opt', 'optim_d')]
    for key in ('adversaries', 'train.grad_clip_g', 'train.max_bad_steps', 'train.health_opt', *ours):
        if get(opt, key) is not None:
            better = 'RealESRGANZooModel' if model in STOCK_DEGRADING else 'GANZooModel'
            yield error(key, f'{model} does not read this key; use model_type: {better}, or remove it')


def _pretrained(opt):
    generator, discriminator = (get(opt, f'path.pretrain_network_{which}') for which in 'gd')
    if generator and discriminator and re.search(r'RealESRNet|PSNR|_l1\b', Path(str(generator)).name):
        yield warning(
            'path.pretrain_network_g',
            f'{Path(generator).name} was trained without a GAN, the discriminator was; it wins at once. '
            'Take the generator that belongs to it, such as RealESRGAN_x4plus.pth with RealESRGAN_x4plus_netD.pth',
        )
    if (get(opt, 'train.gan_opt') or opt.get('adversaries')) and not generator:
        yield warning('path.pretrain_network_g', 'a GAN from random weights rarely ends well; train with L1 first')


def _perceptual(opt):
    for key, block in perceptual_losses(opt).items():
        if block.get('vgg_type', 'vgg19') == 'vgg19' and not vgg.is_here():
            told = f'{vgg.FILE} ({vgg.SIZE}) will be fetched from {vgg.URL}; offline, put it at {vgg.PLACE}'
            yield warning(key, told)
