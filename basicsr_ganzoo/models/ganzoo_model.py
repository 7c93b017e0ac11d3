"""Paired training of a generator: content losses and any adversary, from one option file."""

import math

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

from basicsr_ganzoo.adversarial.builder import AdversaryBuilder, check_weights
from basicsr_ganzoo.adversarial.options import adversaries_of
from basicsr_ganzoo.config.build import build, check_number, check_whole_number
from basicsr_ganzoo.engine.ema import MovingAverage
from basicsr_ganzoo.engine.guard import StepGuard, clip_gradients, not_finite
from basicsr_ganzoo.engine.optimizers import build_optimizer
from basicsr_ganzoo.engine.placement import Placement
from basicsr_ganzoo.engine.precision import Precision
from basicsr_ganzoo.engine.snapshot import Snapshot, buffers_of
from basicsr_ganzoo.engine.speed_options import SpeedOptions
from basicsr_ganzoo.engine.step import Batch, combine, read_metrics
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.health.report import HealthReport
from basicsr_ganzoo.models.checkpointing_model import CheckpointingModel
from basicsr_ganzoo.models.content_losses import ContentLosses
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.weights.load import load_checkpoint

#: norms of the gradients at the image of all content losses and of all adversaries; the log has their ratio, ``rho``
CONTENT, GAN = 'grad_all_content', 'grad_all_gan'


@register(MODEL_REGISTRY)
class GANZooModel(CheckpointingModel):
    """Trains a generator on pairs (lq, gt) with content losses and, if there is a ``network_d``, as a GAN.

    Replaces BasicSR's SRGANModel and ESRGANModel and takes their option files; ``gan_opt: {type: RaGANLoss,
    detach_mean: true}`` has the losses of ESRGANModel. Without ``network_d`` it replaces SRModel, for the PSNR stage.
    Several discriminators, each with its own loss and optimizer, go by name into ``adversaries`` at the top level.

    A step computes the gradient of each loss at the SR image, and sends their sum through the generator once. If a loss
    or a gradient is not finite, the step changes nothing.

    Differs from BasicSR: D runs forward twice in a step instead of 3 (SRGANModel) or 5 times (ESRGANModel); the EMA
    includes buffers; ``ldl_opt`` works here too, with a map that has no gradient (``ldl_detach_map: false`` is
    BasicSR's and LDL's); all optimizers of torch work, fused where possible; the device may be any.

    docs/options.md lists all keys: regularizers of D, views, feature matching, GAN weights, clipping; skipping,
    freezing and averaging of D; amp, compile, channels_last, accumulate, grad_checkpoint; max_bad_steps, health_opt.

    The log has BasicSR's names (``l_g_pix``, ``l_d_real``, ``out_d_real``, ...), the norm of each loss's gradient at
    the image (``grad_pix``, ``grad_gan``, ...), ``rho``, which is that of the GAN over that of the content losses, the
    norms of the networks' gradients (``grad_net_g``, ``grad_net_d``), and the metrics of the health report.
    """

    def __init__(self, opt):
        super(SRModel, self).__init__(opt)
        self.speed = SpeedOptions.of(opt)
        self.precision = Precision(self.speed.amp, self.device, self.speed.compile)
        self.placement = Placement(opt, self.device, self.speed.channels_last)
        net_g = build(ARCH_REGISTRY, opt['network_g'], 'network_g')
        self.net_g = self.placement.wrap(self.speed.checkpointed(net_g))
        self.print_network(self.net_g)
        self._load_pretrained(self.net_g, self.opt['path'].get('param_key_g', 'params'))
        if self.is_train:
            self.init_training_settings()

    # ---------------------------------------------------------------- set-up

    def init_training_settings(self):
        train_opt = self.opt['train']
        self.net_g.train()
        self._check_values(train_opt)
        self.ema_decay = train_opt.get('ema_decay', 0)
        if self.ema_decay > 0:
            self._init_ema()
        self.net_d_iters = train_opt.get('net_d_iters', 1)
        self.net_d_init_iters = train_opt.get('net_d_init_iters', 0)
        self.guard = StepGuard(train_opt.get('max_bad_steps', 10))
        with torch.random.fork_rng(devices=[]):  # a discriminator's first weights change no draw of data either
            self.adversaries = {options.label: self._build_adversary(options) for options in adversaries_of(self.opt)}
        adversaries = list(self.adversaries.values())
        average, suffixes = getattr(self, 'net_g_ema', None), [adversary.suffix for adversary in adversaries]
        self.content = ContentLosses(train_opt, self.placement, self.precision, average, suffixes)
        if not adversaries and not self.content:
            raise OptionError('there is nothing to train with: set train.pixel_opt, perceptual_opt or gan_opt')
        check_weights(adversaries, self.content)
        self.setup_optimizers()
        self.setup_schedulers()
        self.buffers = Snapshot(buffers_of(self.net_g, *(part for a in adversaries for part in a.modules)))
        self.health = HealthReport.of(train_opt, adversaries, self.net_g)
        self.init_validation()

    def _check_values(self, train_opt):
        for key, least in (('net_d_iters', 1), ('net_d_init_iters', 0)):
            check_whole_number(f'train.{key}', 'the number of iterations', train_opt.get(key, least), least)
        for key, most in (('ema_decay', 1), ('grad_clip_g', math.inf)):
            try:
                check_number(f'train.{key}', 'the value', train_opt.get(key) or 0, 0, most)
            except ValueError as error:
                raise OptionError(error) from error

    def _init_ema(self):
        get_root_logger().info(f'Use Exponential Moving Average with decay: {self.ema_decay}')
        net = build(ARCH_REGISTRY, self.opt['network_g'], 'network_g')
        self.net_g_ema = self.placement.to_device(net).eval().requires_grad_(False)
        self.averaging = MovingAverage(self.net_g_ema, self.net_g, self.ema_decay)
        param_keys = ['params_ema', self.opt['path'].get('param_key_g', 'params')]
        if not self._load_pretrained(self.net_g_ema, param_keys):
            self.model_ema(0)

    def _build_adversary(self, options):
        resumed = bool(self.opt['path'].get('resume_state'))
        adversary = AdversaryBuilder(options, self.placement, self.precision, resumed).build()
        adversary.seed(self.opt.get('manual_seed'), self.opt['rank'])
        self.print_network(adversary.bare)
        return adversary

    def setup_optimizers(self):
        self.optimizer_g = build_optimizer(self.opt['train'].get('optim_g'), 'train.optim_g', self.net_g)
        self.optimizers = [self.optimizer_g, *(adversary.optimizer for adversary in self.adversaries.values())]

    def setup_schedulers(self):
        if not (self.opt['train'].get('scheduler') or {}).get('type'):
            raise OptionError('train.scheduler is missing; it needs a type, MultiStepLR or CosineAnnealingRestartLR')
        try:
            super().setup_schedulers()
        except (NotImplementedError, TypeError, AssertionError) as error:
            raise OptionError(f'train.scheduler: {error}') from error

    def load_network(self, net, load_path, strict=True, param_key='params', label=None):
        """Load a file of weights with :func:`load_checkpoint`; BasicSR's signature, and ``label`` for messages."""
        net = self.get_bare_model(net)
        load_checkpoint(net, load_path, param_key, strict, label or type(net).__name__)

    def _load_pretrained(self, net, param_key):
        paths = self.opt['path']
        if paths.get('pretrain_network_g') is None:
            return False
        try:
            strict = paths.get('strict_load_g', True)
            self.load_network(net, paths['pretrain_network_g'], strict, param_key, label='network_g')
        except OptionError as error:
            raise OptionError(f'path.pretrain_network_g: {error}') from error
        return True

    # ---------------------------------------------------------------- one step

    def feed_data(self, data):
        """Take a batch, lq and perhaps gt, without waiting until it is on the device."""
        self.lq = data['lq'].to(self.device, non_blocking=True)
        if 'gt' in data:
            self.gt = data['gt'].to(self.device, non_blocking=True)

    def batch(self):
        """The images of a step."""
        return Batch(self.lq, self.gt, gt_pix=self.gt, gt_percep=self.gt, gt_gan=self.gt)

    def gan_target(self, gt):
        """What the discriminators see of a gt image (N, C, H, W)."""
        return gt

    def optimize_parameters(self, current_iter):
        """Take one training step.

        Raises:
            DivergedError: this was the last of ``max_bad_steps`` steps in a row that were not finite.
        """
        batch = self.batch()
        train_g = current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters
        metrics = self.compute_gradients(batch, current_iter, train_g)
        if self.health:
            metrics.update(self.health.measure(self.output, batch, current_iter))
        self.log_dict = read_metrics(metrics)
        if not_finite(self.log_dict):
            self.rollback(current_iter)
        else:
            self.commit(current_iter, train_g)

    def compute_gradients(self, batch, iteration, train_g):
        """Compute losses and gradients of all networks. Returns the metrics, 0-dim tensors by name."""
        for optimizer in self.optimizers:  # first, so that this memory is free while the graphs are alive
            optimizer.zero_grad(set_to_none=True)
        parts = [self._backward(part, iteration, train_g) for part in batch.split(self.speed.accumulate)]
        outputs, metrics = zip(*parts, strict=True)
        self.output = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        metrics = combine(metrics)
        for adversary in self.adversaries.values():
            metrics.update(adversary.clip_gradients())
        _replace_norms_by_rho(metrics, self.adversaries.values())
        if train_g:
            self.precision.unscale_grads(self.net_g.parameters())
            metrics['grad_net_g'] = clip_gradients(self.net_g.parameters(), self.opt['train'].get('grad_clip_g'))
        return metrics

    def _backward(self, batch, iteration, train_g):
        """Add the gradients of a batch, or of a part of one, to those of the networks. Returns SR and the metrics."""
        with torch.set_grad_enabled(train_g):
            sr = self.precision.run(self.net_g, batch.lq)
        _check_sizes(sr, batch)
        image, share = sr.detach(), 1 / self.speed.accumulate
        measure_r1 = bool(self.health and self.health.measures_r1(iteration))
        metrics, gradients = {}, {}
        if train_g:
            content = self.content.step(image, batch)
            metrics.update(content.metrics)
            gradients[CONTENT] = content.gradient
        for adversary in self.adversaries.values():
            gan = adversary.step(batch.gt_gan, image, iteration, train_g, measure_r1, share)
            metrics.update(gan.metrics)
            gradients[GAN] = gan.gradient if gradients.get(GAN) is None else gradients[GAN] + gan.gradient
        gradients = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        if train_g:
            metrics.update((name, gradient.norm()) for name, gradient in gradients.items() if len(gradients) == 2)
            sr.backward(sum(gradients.values()) * (self.precision.scale / self.speed.accumulate))
        return image, metrics

    def commit(self, iteration, train_g):
        """Update everything after a finite step."""
        for adversary in self.adversaries.values():
            adversary.commit(self.log_dict)
        if train_g:
            self.optimizer_g.step()
        if self.ema_decay > 0:
            self.model_ema(self.ema_decay)
        self.buffers.update()
        self.precision.accept()
        self.guard.accept(self.log_dict, iteration)
        if self.health:
            self.log_dict.update(self.health.observe(self.log_dict, iteration))

    def rollback(self, iteration):
        """Undo a step that was not finite. Under fp16 that only means that the loss scale was too large.

        Raises:
            DivergedError: this is the last of ``max_bad_steps`` bad steps in a row.
        """
        self.buffers.restore()
        if not self.precision.lower_scale(iteration):
            self.guard.reject(self.log_dict, iteration)

    def model_ema(self, decay=0.999):
        """Move the averaged generator towards the current one: parameters and buffers."""
        self.averaging.move(decay)


def _replace_norms_by_rho(metrics, adversaries):
    """Replace the norms of all content and all GAN gradients by ``rho``; nan where there is no content gradient."""
    if CONTENT not in metrics:
        return
    content, gan = metrics.pop(CONTENT), metrics.pop(GAN)
    metrics['rho'] = gan / content
    for suffix in (adversary.suffix for adversary in adversaries if adversary.suffix):
        metrics[f'rho{suffix}'] = metrics[f'grad_gan{suffix}'] / content


def _check_sizes(sr, batch):
    if sr.shape != batch.gt.shape:
        raise OptionError(
            f'the generator makes {_size(sr)} pixels from {_size(batch.lq)}, but gt has {_size(batch.gt)}; '
            "the scale of network_g is not that of the images (the key is 'scale' or 'upscale')"
        )


def _size(image):
    return 'x'.join(map(str, image.shape[-2:]))
