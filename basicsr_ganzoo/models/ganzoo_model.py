"""Paired training of a generator: content losses and any adversary, from one option file."""

from collections import OrderedDict

import torch
from basicsr.losses.loss_util import get_refined_artifact_map
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from basicsr_ganzoo import _vgg
from basicsr_ganzoo._compat import ddp_that_leaves_buffers_alone
from basicsr_ganzoo._options import OptionError, build, check_choice, construct
from basicsr_ganzoo._registry import register
from basicsr_ganzoo.adversary import Adversary
from basicsr_ganzoo.checkpoints import load_checkpoint

LDL_WINDOW = 7  # side in pixels of the window in which LDL measures the variance of residuals (arXiv:2203.09195)


def optimizer_classes():
    """The optimizers of ``torch.optim`` by name, but for LBFGS (wants a closure) and SparseAdam (sparse gradients)."""
    base, unfit = torch.optim.Optimizer, {'Optimizer', 'LBFGS', 'SparseAdam'}
    classes = {name: entry for name, entry in vars(torch.optim).items() if isinstance(entry, type)}
    return {name: entry for name, entry in classes.items() if issubclass(entry, base) and name not in unfit}


@register(MODEL_REGISTRY)
class GANZooModel(SRModel):
    """Trains a generator on pairs (lq, gt) with content losses and, if there is a ``network_d``, as a GAN.

    Takes the option files of BasicSR's SRGANModel and ESRGANModel: ``network_d``, ``train.gan_opt``, ``optim_d``,
    ``net_d_iters``, ``net_d_init_iters``, ``pixel_opt``, ``perceptual_opt``, ``ldl_opt``, ``ema_decay``. ESRGANModel's
    numbers come from ``gan_opt: {type: RaGANLoss, detach_mean: true}``. Without ``network_d`` it is the PSNR stage.

    Differs from BasicSR: every loss hands its gradient over at the SR image, so that D runs forward twice in a step
    instead of 3 (SRGANModel) or 5 times (ESRGANModel); the EMA takes in buffers; ``ldl_opt`` works here too; all
    optimizers of torch; the log has ``rho``, the norm of the GAN's gradient at the image over the content losses'.
    """

    def __init__(self, opt):
        super(SRModel, self).__init__(opt)
        self.net_g = self.model_to_device(build(ARCH_REGISTRY, opt['network_g'], 'network_g'))
        self.print_network(self.net_g)
        self._load_pretrained(self.net_g, 'g', self.opt['path'].get('param_key_g', 'params'))
        if self.is_train:
            self.init_training_settings()

    # ---------------------------------------------------------------- set-up

    def init_training_settings(self):
        train_opt = self.opt['train']
        self.net_g.train()
        self.ema_decay = train_opt.get('ema_decay', 0)
        if self.ema_decay > 0:
            self._init_ema()
        self.net_d_iters = train_opt.get('net_d_iters', 1)
        self.net_d_init_iters = train_opt.get('net_d_init_iters', 0)
        self.adversaries = self._build_adversaries()
        self.cri_pix = self._build_loss('pixel_opt')
        self.cri_ldl = self._build_loss('ldl_opt')
        self.cri_perceptual = self._build_loss('perceptual_opt')
        self._check_losses()
        self.setup_optimizers()
        self.setup_schedulers()

    def _init_ema(self):
        get_root_logger().info(f'Use Exponential Moving Average with decay: {self.ema_decay}')
        self.net_g_ema = build(ARCH_REGISTRY, self.opt['network_g'], 'network_g').to(self.device).eval()
        self.net_g_ema.requires_grad_(False)
        param_keys = ['params_ema', self.opt['path'].get('param_key_g', 'params')]
        if not self._load_pretrained(self.net_g_ema, 'g', param_keys):
            self.model_ema(0)

    def _build_adversaries(self):
        gan_opt = self.opt['train'].get('gan_opt')
        if ('network_d' in self.opt) != bool(gan_opt):
            missing, present = ('network_d', 'train.gan_opt') if gan_opt else ('train.gan_opt', 'network_d')
            raise OptionError(f'{present} is there but {missing} is not; give both for a GAN, or neither')
        if not gan_opt:
            return {}
        net_d = self.model_to_device(build(ARCH_REGISTRY, self.opt['network_d'], 'network_d'), sync_buffers=False)
        self.print_network(net_d)
        self._load_pretrained(net_d, 'd', self.opt['path'].get('param_key_d', 'params'))
        net_d.train()
        loss = self._build_loss('gan_opt')
        return {'net_d': Adversary(net_d, loss, self._build_optimizer('optim_d', net_d))}

    def _build_loss(self, key):
        block = self.opt['train'].get(key)
        if not block:
            return None
        try:
            return build(LOSS_REGISTRY, block, f'train.{key}').to(self.device)
        except OSError as error:  # BasicSR's perceptual loss reads or fetches its weights when it is built
            raise OptionError(
                f'train.{key}: its weights cannot be had ({error}); for VGG19 fetch {_vgg.URL} ({_vgg.SIZE}) '
                f'elsewhere and put it at {_vgg.PLACE}, or remove the block'
            ) from error

    def _check_losses(self):
        if not (self.adversaries or self.cri_pix or self.cri_perceptual):
            raise OptionError('there is nothing to train with: give train.pixel_opt, perceptual_opt or gan_opt')
        if self.cri_ldl and not self.ema_decay > 0:
            raise OptionError('train.ldl_opt compares with the averaged generator; set train.ema_decay, such as 0.999')

    def setup_optimizers(self):
        self.optimizer_g = self._build_optimizer('optim_g', self.net_g)
        self.optimizers.append(self.optimizer_g)
        self.optimizers.extend(adversary.optimizer for adversary in self.adversaries.values())

    def _build_optimizer(self, key, net):
        options = dict(self.opt['train'].get(key) or {})
        where = f'train.{key}'
        if 'type' not in options:
            raise OptionError(f'{where} is missing; it needs a type, such as Adam, and a learning rate lr')
        trainable = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
        if not trainable:
            raise OptionError(f'{where} has nothing to optimize: no parameter of the network requires a gradient')
        for name, value in options.items():
            if isinstance(value, str) and name != 'type':
                raise OptionError(
                    f'{where}.{name} is the text {value!r}, not a number; YAML wants a dot in it: 0.0001 or 1.0e-4'
                )
        try:
            return self.get_optimizer(options.pop('type'), [p for _, p in trainable], **options)
        except (TypeError, ValueError) as error:
            raise OptionError(f'{where}: {error}') from error

    def get_optimizer(self, optim_type, params, **options):
        """Build an optimizer of ``torch.optim`` by its name."""
        classes = optimizer_classes()
        check_choice('the optimizer', 'type', optim_type, classes)
        return construct(classes[optim_type], {'params': params, **options})

    def setup_schedulers(self):
        if not (self.opt['train'].get('scheduler') or {}).get('type'):
            raise OptionError('train.scheduler is missing; it needs a type, MultiStepLR or CosineAnnealingRestartLR')
        try:
            super().setup_schedulers()
        except (NotImplementedError, TypeError, AssertionError) as error:
            raise OptionError(f'train.scheduler: {error}') from error

    def model_to_device(self, net, sync_buffers=True):
        """Move to the device and wrap for several processes or GPUs.

        D comes with ``sync_buffers=False``: its two forwards share one backward, which must not see buffers that a
        broadcast has overwritten in between. Its buffers start as those of rank 0, and SN keeps them equal.
        """
        net = net.to(self.device)
        if not self.opt['dist']:
            return DataParallel(net) if self.opt['num_gpu'] > 1 else net
        for buffer in net.buffers():
            torch.distributed.broadcast(buffer, 0)
        return DistributedDataParallel(
            net,
            device_ids=[torch.cuda.current_device()] if self.device.type == 'cuda' else None,
            find_unused_parameters=self.opt.get('find_unused_parameters', False),
            **({} if sync_buffers else ddp_that_leaves_buffers_alone()),
        )

    def load_network(self, net, load_path, strict=True, param_key='params', label=None):
        """Load a file of weights with :func:`load_checkpoint`; BasicSR's signature, and ``label`` for messages."""
        net = self.get_bare_model(net)
        load_checkpoint(net, load_path, param_key, strict, label or type(net).__name__)

    def _load_pretrained(self, net, which, param_key):
        where = f'pretrain_network_{which}'
        path = self.opt['path'].get(where)
        if path is None:
            return False
        try:
            strict = self.opt['path'].get(f'strict_load_{which}', True)
            self.load_network(net, path, strict, param_key, label=f'network_{which}')
        except OptionError as error:
            raise OptionError(f'path.{where}: {error}') from error
        return True

    # ---------------------------------------------------------------- one step

    def optimize_parameters(self, current_iter):
        train_g = current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters
        with torch.set_grad_enabled(train_g):
            sr = self.net_g(self.lq)
        if sr.shape != self.gt.shape:
            raise OptionError(
                f'the generator makes {_size(sr)} pixels from {_size(self.lq)}, but gt has {_size(self.gt)}; '
                "the scale of network_g is not that of the pictures (the key is 'scale' or 'upscale')"
            )
        self.output = sr.detach()
        log = OrderedDict()
        content_gradient = self._play_content(log) if train_g else None
        gan_gradient = self._play_adversaries(train_g, log)
        if train_g:
            if content_gradient is not None and gan_gradient is not None:
                log['rho'] = gan_gradient.norm() / content_gradient.norm()
            self._update_g(sr, content_gradient, gan_gradient)
        self._step_log = log
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def content_terms(self, sr):
        """Yield the content losses of ``sr`` (N, C, H, W), one dict of log names to 0-dim tensors for each graph."""
        if self.cri_pix:
            yield {'l_g_pix': self.cri_pix(sr, self.gt_pix)}
        if self.cri_ldl:
            with torch.no_grad():
                ema = self.net_g_ema(self.lq)
            weight = get_refined_artifact_map(self.gt, sr, ema, LDL_WINDOW)
            yield {'l_g_ldl': self.cri_ldl(weight * sr, weight * self.gt)}
        if self.cri_perceptual:
            percep, style = self.cri_perceptual(sr, self.gt_percep)
            yield {k: v for k, v in (('l_g_percep', percep), ('l_g_style', style)) if v is not None}

    # What the pixel loss, the perceptual loss and the adversaries compare with; a model may give each its own.
    gt_pix = gt_percep = gt_gan = property(lambda self: self.gt)

    def _play_content(self, log):
        sr = self.output.detach().requires_grad_()
        gradients = []
        for terms in self.content_terms(sr):
            gradients.append(torch.autograd.grad(sum(terms.values()), sr)[0])
            log.update((name, loss.detach()) for name, loss in terms.items())
        return sum(gradients[1:], gradients[0]) if gradients else None

    def _play_adversaries(self, train_g, log):
        gradients = []
        for adversary in self.adversaries.values():
            gradient, adversary_log = adversary.step(self.gt_gan, self.output, train_g)
            gradients.append(gradient)
            log.update(adversary_log)
        return sum(gradients[1:], gradients[0]) if gradients and train_g else None

    def _update_g(self, sr, *gradients):
        self.optimizer_g.zero_grad(set_to_none=True)
        sr.backward(sum(g for g in gradients if g is not None))
        self.optimizer_g.step()

    @torch.no_grad()
    def model_ema(self, decay=0.999):
        """Move the averaged generator towards the current one: parameters and buffers; what is no float is copied."""
        ours, theirs = self.net_g_ema.state_dict(), self.get_bare_model(self.net_g).state_dict()
        averaged = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        get_ema_multi_avg_fn(decay)([ours[n] for n in averaged], [theirs[n] for n in averaged], None)
        for name in ours.keys() - averaged:
            ours[name].copy_(theirs[name])

    @property
    def log_dict(self):
        """The last step's numbers by name. Reading it waits for the device and, under DDP, for all ranks."""
        return self.reduce_loss_dict(self._step_log)

    # ---------------------------------------------------------------- saving

    def save(self, epoch, current_iter):
        """Save the networks and, unless ``current_iter`` is -1 (the end), the training state, as BasicSR does."""
        for label, adversary in self.adversaries.items():
            self.save_network(adversary.net_d, label, current_iter)
        super().save(epoch, current_iter)


def _size(image):
    return 'x'.join(map(str, image.shape[-2:]))
