"""The options of the compared models: ours, BasicSR's, and ours without the options for speed; and their batches."""

import copy

import torch
from basicsr.utils.registry import LOSS_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.adversarial import adversaries_of
from basicsr_ganzoo.config.build import build, gt_size
from basicsr_ganzoo.engine.speed_options import KEYS as SPEED_KEYS
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.adversarial import GAN_TYPES
from basicsr_ganzoo.models.content_losses import further_losses
from basicsr_ganzoo.models.ganzoo_model import GANZooModel
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel

STOCK_GAN_TYPES = ('vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge')
#: keys of ``train`` that BasicSR's models do not read
ONLY_OURS = (
    *('d_reg_opt', 'views', 'feature_matching_opt', 'gan_weight_opt', 'grad_clip_g', 'grad_clip_d', 'health_opt'),
    *('net_d_weight_clip', 'net_d_freeze', 'net_d_ema_decay', 'net_d_skip_accuracy'),
)


def own_options(opt):
    """What ``build_model`` takes for an option file, with random weights, paired data and one process.

    Raises:
        OptionError: the file's model is not ours.
    """
    model = dict(iter(MODEL_REGISTRY)).get(opt['model_type'])
    if not (isinstance(model, type) and issubclass(model, GANZooModel)):
        raise OptionError(
            f'model_type {opt["model_type"]} is no model of basicsr_ganzoo; ganzoo list models names them'
        )
    opt = copy.deepcopy(opt)
    gpus = min(torch.cuda.device_count(), 1) if opt['num_gpu'] else 0
    opt.update(is_train=True, dist=False, rank=0, world_size=1, path={}, num_gpu=gpus)
    if issubclass(model, DegradingModel):
        opt['high_order_degradation'] = False
    return opt


def plain_options(opt):
    """Our model from the same file, without the keys of ``train`` that make a step faster or smaller."""
    opt = own_options(opt)
    opt['train'] = {key: value for key, value in opt['train'].items() if key not in SPEED_KEYS}
    return opt


def stock_options(opt):
    """BasicSR's model for the same file, with the same networks.

    Returns:
        The options, and the keys of the file that BasicSR's model does not support.

    Raises:
        OptionError: BasicSR has no such model or loss.
    """
    opt = own_options(opt)
    if opt.get('adversaries'):
        raise OptionError('BasicSR has no model with several adversaries; remove --against stock')
    train, relativistic = opt['train'], False
    left_out = [f'train.{key}' for key in (*ONLY_OURS, *SPEED_KEYS, *further_losses(train)) if train.get(key)]
    adversarial, degrading = bool(adversaries_of(opt)), 'high_order_degradation' in opt
    if adversarial:
        train['gan_opt'], relativistic = _stock_loss(train['gan_opt'])
    if relativistic and degrading:
        raise OptionError("BasicSR's RealESRGANModel has no relativistic loss; remove --against stock")
    names = ('RealESRGANModel',) if degrading else ('SRGANModel', 'ESRGANModel')
    opt['model_type'] = names[relativistic] if adversarial else 'SRModel'
    if opt['model_type'] != 'RealESRGANModel' and train.get('ldl_opt'):
        left_out.append('train.ldl_opt')
    for key in ('l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm'):
        opt.setdefault(key, key != 'gan_gt_usm')
    return opt, left_out


def _stock_loss(block):
    """The block of BasicSR's GANLoss for a loss of ours, and whether it needs the relativistic model."""
    if block.get('type') == 'GANLoss':
        return block, False
    loss = build(LOSS_REGISTRY, block, 'train.gan_opt')
    names = [name for name in STOCK_GAN_TYPES if isinstance(loss, GAN_TYPES[name][0])]
    pairing = getattr(loss, 'pairing', None)
    if not names or pairing not in ('plain', 'average'):
        raise OptionError(
            f'BasicSR has no {type(loss).__name__} with pairing: {pairing}; remove --against stock, or use pairing: '
            'plain or average'
        )
    labels = {key: getattr(loss, key, default) for key, default in (('real_label_val', 1.0), ('fake_label_val', 0.0))}
    return {'type': 'GANLoss', 'gan_type': names[0], 'loss_weight': loss.loss_weight, **labels}, pairing == 'average'


def batches(opt, seed=0):
    """Endless random pairs with the sizes of an option file."""
    generator = torch.Generator().manual_seed(seed)
    count, size, scale = opt['datasets']['train']['batch_size_per_gpu'], gt_size(opt), opt.get('scale', 1)
    sides = {'lq': ('num_in_ch', size // scale), 'gt': ('num_out_ch', size)}
    while True:
        yield {
            key: torch.rand(count, opt['network_g'].get(channels, 3), side, side, generator=generator)
            for key, (channels, side) in sides.items()
        }
