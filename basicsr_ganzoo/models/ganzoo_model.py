"""Paired training of a generator: content losses and any adversary, from one option file."""

import contextlib
import math
from collections import OrderedDict

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY
from torch.nn.parallel import DataParallel, DistributedDataParallel

from basicsr_ganzoo.adversarial.builder import AdversaryBuilder, adversaries_of, check_weights
from basicsr_ganzoo.compat import ddp_that_leaves_buffers_alone
from basicsr_ganzoo.config.build import build, check_number, check_whole_number
from basicsr_ganzoo.engine.accumulate import combine, micro_batches
from basicsr_ganzoo.engine.commit import StepNumbers, decision_of
from basicsr_ganzoo.engine.ema import MovingAverage
from basicsr_ganzoo.engine.guard import BufferKeeper, StepGuard, clip_gradients
from basicsr_ganzoo.engine.optimizers import build_optimizer, step_unless
from basicsr_ganzoo.engine.precision import Precision
from basicsr_ganzoo.engine.speed_options import SpeedOptions
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.health.report import HealthReport
from basicsr_ganzoo.models.checkpointing_model import CheckpointingModel
from basicsr_ganzoo.models.content_losses import ContentLosses
from basicsr_ganzoo.registry import register
from basicsr_ganzoo.weights import vgg
from basicsr_ganzoo.weights.load import load_checkpoint

#: norms of the gradients at the image that the content losses and the adversaries have; ``rho`` is told of them
BOTH = ('grad_all_content', 'grad_all_gan')


@register(MODEL_REGISTRY)
class GANZooModel(CheckpointingModel):
    """Trains a generator on pairs (lq, gt) with content losses and, if there is a ``network_d``, as a GAN.

    Takes the option files of BasicSR's SRGANModel and ESRGANModel: ``network_d``, ``train.gan_opt``, ``optim_d``,
    ``net_d_iters``, ``net_d_init_iters``, ``pixel_opt``, ``perceptual_opt``, ``ldl_opt``, ``ema_decay``. ESRGANModel's
    numbers come from ``gan_opt: {type: RaGANLoss, detach_mean: true}``. Without ``network_d`` it is the PSNR stage.

    Differs from BasicSR: every loss hands its gradient over at the SR image, so that D runs forward twice in a step
    instead of 3 (SRGANModel) or 5 times (ESRGANModel); the EMA takes in buffers; ``ldl_opt`` works here too, and its
    map is a weight without a gradient (``ldl_detach_map: false`` is BasicSR's and LDL's); all optimizers of torch,
    fused if they can be; on a GPU no step waits for it, see :class:`~basicsr_ganzoo.engine.commit.DecisionOnDevice`.

    Further keys of ``train``:
        d_reg_opt: regularizers of D by any name; views: a list of what D is shown instead of the plain picture.
        feature_matching_opt: FeatureMatchingLoss; NAME_opt: any registered loss of SR and GT, or of SR and LQ.
        gan_weight_opt: GANWeightRamp or GANWeightTargetRho, a factor of the GAN's weight.
        grad_clip_g, grad_clip_d: norms to which the gradients are clipped.
        net_d_weight_clip: D's weights stay in [-x, x] (WGAN); net_d_freeze: D's first n layers stay as they are.
        net_d_ema_decay: also save D's moving average, as params_ema.
        net_d_skip_accuracy: D sits steps out while it judges a larger share rightly.
        max_bad_steps (10): so many steps in a row that are not finite stop the training; single ones are skipped.
        amp: bf16 or fp16, the precision of the passes through G, D and the perceptual network; losses, penalties, norms
            of gradients and averages stay float32, and D is float32 where a gradient penalty is due. fp16 has a loss
            scale: a step that is not finite lowers it, and counts as bad only at a scale of 1.
        channels_last: true orders these networks' weights and maps so, which changes numbers by rounding alone.
        compile: true, or a mapping of torch.compile's arguments, compiles the passes of these networks in training
            steps, except those of D in which a gradient penalty is due; where that fails, a warning says why, and the
            training continues eagerly from the same step.
        accumulate: so many parts, one after the other, make a batch: the same gradients, less memory. Batch norm,
            LeCam and the means of pairing: average and batch_average then see one part at a time.
        grad_checkpoint: true computes the blocks of G's body (RRDBNet, MSRResNet) anew in the backward pass.
        health_opt: true, false, or freq (100), probe_freq (1000) and hold (1000), in iterations, of the health report.

    Instead of one ``network_d``, ``adversaries`` at the top level holds several by name, each with these keys of D and
    ``network_d``, ``gan_opt``, ``optim_d``, ``pretrain_network_d``, ``param_key_d``, ``strict_load_d``.

    The log has ``rho``, the norm of the GAN's gradient at the image over the content losses', the norm of each loss's
    (``grad_pix``, ``grad_gan``, ...) and of the networks' gradients (``grad_net_g``), and what the health report says.
    """

    def __init__(self, opt):
        super(SRModel, self).__init__(opt)
        self.speed = SpeedOptions.of(opt)
        self.precision = Precision(self.speed.amp, self.device, self.speed.compile)
        net_g = build(ARCH_REGISTRY, opt['network_g'], 'network_g')
        self.net_g = self.model_to_device(self.speed.checkpointed(net_g))
        self.print_network(self.net_g)
        self._load_pretrained(self.net_g, 'g', self.opt['path'].get('param_key_g', 'params'))
        if self.is_train:
            self.init_training_settings()

    # ---------------------------------------------------------------- set-up

    def init_training_settings(self):
        train_opt = self.opt['train']
        self.net_g.train()
        self._check_numbers(train_opt)
        self.ema_decay = train_opt.get('ema_decay', 0)
        if self.ema_decay > 0:
            self._init_ema()
        self.net_d_iters = train_opt.get('net_d_iters', 1)
        self.net_d_init_iters = train_opt.get('net_d_init_iters', 0)
        self.guard = StepGuard(train_opt.get('max_bad_steps', 10))
        self.adversaries = {
            options.label: AdversaryBuilder(self, options).build() for options in adversaries_of(self.opt)
        }
        self.content = ContentLosses(self)
        if not self.adversaries and not self.content:
            raise OptionError('there is nothing to train with: give train.pixel_opt, perceptual_opt or gan_opt')
        check_weights(self.adversaries.values(), self.content)
        self.setup_optimizers()
        self.setup_schedulers()
        self.buffers = BufferKeeper(self.net_g, *(part for a in self.adversaries.values() for part in a.modules))
        self.health = HealthReport.of(self)
        self.decision = decision_of(self)
        self.init_validation()

    def _check_numbers(self, train_opt):
        for key, least in (('net_d_iters', 1), ('net_d_init_iters', 0)):
            check_whole_number(f'train.{key}', 'the number of iterations', train_opt.get(key, least), least)
        for key, most in (('ema_decay', 1), ('grad_clip_g', math.inf)):
            try:
                check_number(f'train.{key}', 'the value', train_opt.get(key) or 0, 0, most)
            except ValueError as error:
                raise OptionError(error) from error

    def _init_ema(self):
        get_root_logger().info(f'Use Exponential Moving Average with decay: {self.ema_decay}')
        net = build(ARCH_REGISTRY, self.opt['network_g'], 'network_g').to(self.device)
        self.net_g_ema = self.speed.lay_out(net).eval()
        self.net_g_ema.requires_grad_(False)
        self.averaging = MovingAverage(self.net_g_ema, self.net_g)
        param_keys = ['params_ema', self.opt['path'].get('param_key_g', 'params')]
        if not self._load_pretrained(self.net_g_ema, 'g', param_keys):
            self.model_ema(0)

    def build_loss(self, block, where):
        """Build a registered loss, or None without a block, on the model's device; ``where`` names it in messages."""
        if not block:
            return None
        try:
            loss = build(LOSS_REGISTRY, block, where)
        except OSError as error:  # BasicSR's perceptual loss reads or fetches its weights when it is built
            raise OptionError(
                f'{where}: its weights cannot be had ({error}); for VGG19 fetch {vgg.URL} ({vgg.SIZE}) '
                f'elsewhere and put it at {vgg.PLACE}, or remove the block'
            ) from error
        return loss.to(self.device) if isinstance(loss, torch.nn.Module) else loss

    def setup_optimizers(self):
        self.optimizer_g = build_optimizer(self.opt['train'].get('optim_g'), 'train.optim_g', self.net_g)
        self.optimizers.append(self.optimizer_g)
        self.optimizers.extend(adversary.optimizer for adversary in self.adversaries.values())

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
        net = self.speed.lay_out(net.to(self.device))
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

    def validation(self, *args, **kwargs):
        """Validate as BasicSR does, after the last word on the step before."""
        if self.is_train:
            self.decision.log()
        super().validation(*args, **kwargs)

    # ---------------------------------------------------------------- one step

    def feed_data(self, data):
        """Take a batch, lq and perhaps gt, without waiting until it is on the device."""
        self.lq = data['lq'].to(self.device, non_blocking=True)
        if 'gt' in data:
            self.gt = data['gt'].to(self.device, non_blocking=True)

    def optimize_parameters(self, current_iter):
        train_g = current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters
        # Under a loss scale above 1 a step that is not finite is a sign of the scale, not of the compiler.
        log = self.precision.compiled.run(
            lambda: self._compute_gradients(current_iter, train_g), self.buffers.restore, self.precision.scale <= 1
        )
        if self.health:
            log.update(self.health.measure(self.output, self.lq, self.gt_pix, current_iter))
            self.health.held_out.remember(self.gt_gan, self.output)
        ranks = self.opt['world_size'] if self.opt['dist'] else None
        self.decision.take(StepNumbers(log, current_iter, self.precision.scale, ranks), train_g)

    def _compute_gradients(self, current_iter, train_g):
        """Compute the gradients of a step. Returns the log."""
        for optimizer in self.optimizers:  # first, so that their bytes are free while the graphs are alive
            optimizer.zero_grad(set_to_none=True)
        logs, outputs = [], []
        with contextlib.closing(micro_batches(self, self.speed.accumulate)) as parts:
            for _ in parts:
                logs.append(self._play(current_iter, train_g))
                outputs.append(self.output)
        self.output = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        log = combine(logs)
        self._finish_gradients(train_g, log)
        return log

    def _play(self, current_iter, train_g):
        """Play all games of a batch, or of a part of one, and add their gradients. Returns the log."""
        with torch.set_grad_enabled(train_g):
            sr = self.precision.run(self.net_g, self.lq)
        if sr.shape != self.gt.shape:
            raise OptionError(
                f'the generator makes {_size(sr)} pixels from {_size(self.lq)}, but gt has {_size(self.gt)}; '
                "the scale of network_g is not that of the pictures (the key is 'scale' or 'upscale')"
            )
        self.output = sr.detach()
        log = OrderedDict()
        content = self._play_content(log) if train_g else None
        gan = self._play_adversaries(current_iter, train_g, log)
        if train_g:
            gradients = [g for g in (content, gan) if g is not None]
            if len(gradients) == 2:
                log.update(zip(BOTH, (gradient.norm() for gradient in gradients), strict=True))
            sr.backward(sum(gradients) * (self.precision.scale / self.speed.accumulate))
        return log

    # What the pixel loss, the perceptual loss and the adversaries compare with; a model may give each its own.
    gt_pix = gt_percep = gt_gan = property(lambda self: self.gt)

    def _play_content(self, log):
        sr = self.output.detach().requires_grad_()
        total = None
        for name, losses in self.content.terms(sr):
            gradient = self.precision.gradient(sum(losses.values()), sr)
            log.update((key, loss.detach()) for key, loss in losses.items())
            log[f'grad_{name}'] = gradient.norm()
            total = gradient if total is None else total + gradient
        return total

    def _play_adversaries(self, current_iter, train_g, log):
        total = None
        probe = bool(self.health and self.health.probes(current_iter))
        for adversary in self.adversaries.values():
            share = 1 / self.speed.accumulate
            gradient, numbers = adversary.play(self.gt_gan, self.output, train_g, current_iter, probe, share)
            if train_g:
                numbers['grad_gan'] = gradient.norm()
                total = gradient if total is None else total + gradient
            log.update((f'{key}{adversary.suffix}', value) for key, value in numbers.items())
        return total

    def _finish_gradients(self, train_g, log):
        """Clip the gradients of a step, which are whole now, and tell how large they are."""
        for adversary in self.adversaries.values():
            if adversary.learns:
                adversary.finish()
                norm = clip_gradients(adversary.parameters, adversary.grad_clip)
                log[f'grad_net_d{adversary.suffix}'] = norm
        if BOTH[0] in log:
            content, gan = (log.pop(key) for key in BOTH)
            log['rho'] = gan / content  # where content is 0 it is no number, which no weight and no rule takes in
            for adversary in self.adversaries.values():
                if adversary.suffix:
                    log[f'rho{adversary.suffix}'] = log[f'grad_gan{adversary.suffix}'] / content
        if train_g:
            self.precision.unscale(self.net_g.parameters())
            log['grad_net_g'] = clip_gradients(self.net_g.parameters(), self.opt['train'].get('grad_clip_g'))

    def update(self, train_g, bad=None):
        """Update the networks with a step's gradients; nothing changes where ``bad``, a 0-dim tensor, is 1."""
        for adversary in self.adversaries.values():
            adversary.update(bad)
        if train_g:
            step_unless(bad, self.optimizer_g)
        if self.ema_decay > 0:
            self.model_ema(self.ema_decay, bad)

    def model_ema(self, decay=0.999, bad=None):
        """Move the averaged generator towards the current one: parameters and buffers."""
        self.averaging.move(decay, bad)

    @property
    def log_dict(self):
        """The numbers of the last step, floats by name; on a GPU this waits for it."""
        return self.decision.log()


def _size(image):
    return 'x'.join(map(str, image.shape[-2:]))
