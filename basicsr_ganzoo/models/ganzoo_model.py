"""Paired training of a generator: content losses and any adversary, from one option file."""

import functools

import torch
from basicsr.utils.registry import MODEL_REGISTRY

from basicsr_ganzoo.engine import Batch, StepResult
from basicsr_ganzoo.engine.guard import clip_gradients, not_finite
from basicsr_ganzoo.engine.step import combine, read_metrics
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.building_model import BuildingModel
from basicsr_ganzoo.registry import register

#: norms of the gradients at the image of all content losses and of all adversaries; the log has their ratio, ``rho``
CONTENT, GAN = 'grad_all_content', 'grad_all_gan'


@register(MODEL_REGISTRY)
class GANZooModel(BuildingModel):
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
        train_g = current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters
        compute = functools.partial(self.compute_gradients, self.batch(), current_iter, train_g)
        self.log_dict = self._run_compiled(compute) if self.precision.compiled.enabled else compute()
        if not_finite(self.log_dict):
            self.rollback(current_iter)
        else:
            self.commit(current_iter, train_g)

    def _run_compiled(self, compute):
        """Under fp16 a step that is not finite says that the loss scale is too large, not that compiling went wrong."""
        generators = [adversary.generator for adversary in self.adversaries.values()]
        return self.precision.compiled.run(compute, self.buffers, generators, self.precision.scale <= 1)

    def compute_gradients(self, batch, iteration, train_g):
        """Compute losses and gradients of all networks. Returns the metrics, floats by name, the same on all ranks."""
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
        if self.health:
            metrics.update(self.health.measure(self.output, batch, iteration))
        return read_metrics(metrics)

    def _backward(self, batch, iteration, train_g):
        """Add the gradients of a batch, or of a part of one, to those of the networks. Returns SR and the metrics."""
        with torch.set_grad_enabled(train_g):
            sr = self.precision.run(self.net_g, batch.lq)
        _check_sizes(sr, batch)
        image = sr.detach()
        content = self.content.step(image, batch) if train_g else StepResult()
        gan = self._step_adversaries(image, batch, iteration, train_g)
        metrics = {**content.metrics, **gan.metrics}
        if train_g:
            gradients = {CONTENT: content.gradient, GAN: gan.gradient}
            gradients = {name: gradient for name, gradient in gradients.items() if gradient is not None}
            if len(gradients) == 2:
                metrics.update((name, gradient.norm()) for name, gradient in gradients.items())
            sr.backward(sum(gradients.values()) * (self.precision.scale / self.speed.accumulate))
        return image, metrics

    def _step_adversaries(self, image, batch, iteration, train_g):
        """The sum of the adversaries' gradients at the SR image, and their metrics; each D has its gradients."""
        total, metrics = None, {}
        measure_r1 = bool(self.health and self.health.measures_r1(iteration))
        for adversary in self.adversaries.values():
            share = 1 / self.speed.accumulate
            result = adversary.step(batch.gt_gan, image, iteration, train_g, measure_r1, share)
            metrics.update(result.metrics)
            total = result.gradient if total is None else total + result.gradient
        return StepResult(total, metrics)

    def commit(self, iteration, train_g):
        """Update everything after a finite step."""
        for adversary in self.adversaries.values():
            adversary.commit(self.log_dict)
        if train_g:
            self.optimizer_g.step()
        if self.ema_decay > 0:
            self.averaging.move()
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
