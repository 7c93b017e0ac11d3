"""The options of those that are compared: our model, BasicSR's, and ours without what makes it fast."""

import copy

import torch
from basicsr.utils.registry import LOSS_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.adversarial.options import adversaries_of
from basicsr_ganzoo.config.build import build, gt_size
from basicsr_ganzoo.config.runtime import usable_gpus
from basicsr_ganzoo.engine.speed_options import KEYS as SPEED_KEYS
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses import adversarial as ours
from basicsr_ganzoo.models.content_losses import further_losses
from basicsr_ganzoo.models.ganzoo_model import GANZooModel
from basicsr_ganzoo.models.realesrgan_zoo_model import DegradingModel

GAN_TYPES = {
    ours.VanillaGANLoss: 'vanilla',
    ours.LSGANLoss: 'lsgan',
    ours.WGANLoss: 'wgan',
    ours.SoftplusGANLoss: 'wgan_softplus',
    ours.HingeGANLoss: 'hinge',
}
#: keys of ``train`` that BasicSR's models do not read
ONLY_OURS = (
    *('d_reg_opt', 'views', 'feature_matching_opt', 'gan_weight_opt', 'grad_clip_g', 'grad_clip_d', 'health_opt'),
    *('net_d_weight_clip', 'net_d_freeze', 'net_d_ema_decay', 'net_d_skip_accuracy'),
)


def own_options(opt):
    """What ``build_model`` takes for an option file: random weights, pairs, one process.

    Raises:
        OptionError: the file is of a model that is not ours.
    """
    model = dict(iter(MODEL_REGISTRY)).get(opt['model_type'])
    if not (isinstance(model, type) and issubclass(model, GANZooModel)):
        raise OptionError(
            f'model_type {opt["model_type"]} is no model of basicsr_ganzoo; ganzoo list models names them'
        )
    opt = copy.deepcopy(opt)
    opt.update(is_train=True, dist=False, rank=0, world_size=1, path={})
    opt['num_gpu'] = min(torch.cuda.device_count() if opt['num_gpu'] == 'auto' else usable_gpus(opt), 1)
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
        The options, and the keys of the file that BasicSR's model leaves out.

    Raises:
        OptionError: BasicSR has no such model or loss.
    """
    opt = own_options(opt)
    train, adversaries = opt['train'], adversaries_of(opt)
    if len(adversaries) > 1 or opt.get('adversaries'):
        raise OptionError('BasicSR has no model with several adversaries; leave --against away')
    left_out = [f'train.{key}' for key in (*ONLY_OURS, *SPEED_KEYS, *further_losses(train)) if train.get(key)]
    relativistic = False
    if adversaries:
        train['gan_opt'], relativistic = _stock_loss(train['gan_opt'])
    degrading = issubclass(dict(iter(MODEL_REGISTRY))[opt['model_type']], DegradingModel)
    opt['model_type'] = _stock_model(bool(adversaries), relativistic, degrading)
    if opt['model_type'] != 'RealESRGANModel' and train.get('ldl_opt'):
        left_out.append('train.ldl_opt')
    for key in ('l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm'):
        opt.setdefault(key, key != 'gan_gt_usm')
    return opt, left_out


def _stock_model(adversarial, relativistic, degrading):
    if degrading and relativistic:
        raise OptionError("BasicSR's RealESRGANModel has no relativistic loss; leave --against away")
    if not adversarial:
        return 'SRModel'
    return 'RealESRGANModel' if degrading else 'ESRGANModel' if relativistic else 'SRGANModel'


def _stock_loss(block):
    """The block of BasicSR's GANLoss for a loss of ours, and whether the model has to be the relativistic one."""
    if block.get('type') == 'GANLoss':
        return block, False
    loss = build(LOSS_REGISTRY, block, 'train.gan_opt')
    names = [name for kind, name in GAN_TYPES.items() if isinstance(loss, kind)]
    pairing = getattr(loss, 'pairing', None)
    if not names or pairing not in ('plain', 'average'):
        raise OptionError(
            f'BasicSR has no {type(loss).__name__} with pairing: {pairing}; leave --against away, or compare with '
            'pairing: plain or average'
        )
    labels = {key: getattr(loss, key, default) for key, default in (('real_label_val', 1.0), ('fake_label_val', 0.0))}
    return {'type': 'GANLoss', 'gan_type': names[0], 'loss_weight': loss.loss_weight, **labels}, pairing == 'average'


def batches(opt, seed=0):
    """Endless random pairs of the sizes of an option file."""
    generator = torch.Generator().manual_seed(seed)
    train, scale = opt['datasets']['train'], opt.get('scale', 1)
    count, size = train['batch_size_per_gpu'], gt_size(opt)
    channels = {key: opt['network_g'].get(f'num_{key}_ch', 3) for key in ('in', 'out')}
    while True:
        yield {
            'lq': torch.rand(count, channels['in'], size // scale, size // scale, generator=generator),
            'gt': torch.rand(count, channels['out'], size, size, generator=generator),
        }
