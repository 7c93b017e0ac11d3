"""The losses of a discriminator and of the generator that it trains, and their gradients."""

import contextlib
import functools
from dataclasses import dataclass

import torch

from basicsr_ganzoo.losses.logits import as_list, detached, mean_logit, statistics
from basicsr_ganzoo.regularizers.base import DiscStep


@dataclass(frozen=True)
class Inputs:
    """What a step's losses are computed from; see :meth:`Adversary.step`."""

    real: torch.Tensor
    fake: torch.Tensor
    iteration: int
    train_g: bool
    measure_r1: bool
    share: float


class Objective:
    """D's loss and G's loss of real and fake images.

    D runs forward once on the real and once on the fake images. Its loss and G's use the same logits, which changes no
    value, because D's weights are the same in both halves of a step. Where the loss judges real and fake separately,
    and no regularizer needs both, the graph of one is freed before the other is built.

    A subclass has ``net_d``, ``loss``, ``views``, ``regularizers``, ``feature_matching``, ``settings``, ``precision``,
    ``generator`` and ``parameters``.
    """

    def view(self, real, fake):
        """Real and fake images as D sees them."""
        for view in self.views:
            real, fake = view(real, fake)
        return real, fake

    def logits(self, image, exact=False):
        """D's logits of what it sees; ``exact`` in float32, whatever the precision of the training."""
        return self._forward(image, exact)[0]

    def compute(self, inputs, update_d):
        """Compute all losses, and with ``update_d`` add D's gradients to those at its parameters.

        Returns:
            The gradient of G's loss at ``inputs.fake`` (None without ``train_g``), and 0-dim metrics by name.
        """
        due = {name: entry for name, entry in self.regularizers.items() if entry.is_due(inputs.iteration)}
        if getattr(self.loss, 'separable', False) and not due:
            return self._compute_separately(inputs, update_d)
        return self._compute_together(inputs, update_d, due)

    def _forward(self, image, exact=False):
        """D's logits and, for feature matching, its feature maps."""
        out = self.precision.run(self.net_d, image, exact)
        return out if self.feature_matching else (out, None)

    def _compute_separately(self, inputs, update_d):
        """D's graph of real is freed before D sees fake."""
        real, image = inputs.real.requires_grad_(inputs.measure_r1), inputs.fake.requires_grad_(inputs.train_g)
        real, fake = self.view(real, image)
        # Several processes exchange the gradients once, after the second half.
        no_sync = getattr(self.net_d, 'no_sync', contextlib.nullcontext)
        with no_sync(), torch.set_grad_enabled(update_d or inputs.measure_r1):
            real_pred, real_maps = self._forward(real)
            r1 = {'r1': self._r1(real_pred, real)} if inputs.measure_r1 else {}
            l_d_real = self.loss.d_loss(real_pred, detached(real_pred))[0]
            if update_d:
                self.precision.backward(l_d_real, inputs.share, self.parameters)
        real_pred = detached(real_pred)
        fake_pred, fake_maps = self._forward(fake)
        gradient, metrics = self._generator_loss(inputs, image, (real_pred, real_maps), (fake_pred, fake_maps))
        metrics.update(r1)
        metrics['l_d_real'], metrics['l_d_fake'] = l_d_real, self.loss.d_loss(real_pred, fake_pred)[1]
        metrics.update(self._statistics(real_pred, fake_pred, update_d))
        if update_d:
            self.precision.backward(metrics['l_d_fake'], inputs.share, self.parameters)
        return gradient, metrics

    def _compute_together(self, inputs, update_d, due):
        """Both graphs of D are alive together, for losses and regularizers that compare real and fake."""
        needs_real, needs_fake = (any(getattr(r, f'needs_{s}_grad') for r in due.values()) for s in ('real', 'fake'))
        exact = any(regularizer.full_precision for regularizer in due.values())
        real = inputs.real.requires_grad_(needs_real or inputs.measure_r1)
        image = inputs.fake.requires_grad_(needs_fake or inputs.train_g)
        real, fake = self.view(real, image)
        (real_pred, real_maps), (fake_pred, fake_maps) = self._forward(real, exact), self._forward(fake, exact)
        metrics = {'r1': self._r1(real_pred, real)} if inputs.measure_r1 else {}
        metrics['l_d_real'], metrics['l_d_fake'] = self.loss.d_loss(real_pred, fake_pred)
        metrics.update(self._statistics(real_pred, fake_pred, update_d))
        # Several processes exchange the gradients after one backward pass, and penalties have graphs of their own.
        by_parts = update_d and not due and not hasattr(self.net_d, 'no_sync')
        parts = self._backward_by_parts(metrics, inputs.share, real_pred, fake_pred) if by_parts else iter(())
        next(parts, None)  # the graph of real is freed before G's loss needs memory
        gradient, of_g = self._generator_loss(inputs, image, (real_pred, real_maps), (fake_pred, fake_maps))
        next(parts, None)
        if update_d and not by_parts:
            logits = functools.partial(self.logits, exact=exact)
            step = DiscStep(logits, real, fake, real_pred, fake_pred, inputs.iteration, self.generator)
            penalties = self._penalties(due, step, metrics)
            # Naming the inputs avoids the gradient at the image, which D's loss does not need.
            total = sum([metrics['l_d_real'], metrics['l_d_fake'], *penalties])
            self.precision.backward(total, inputs.share, self.parameters)
        return gradient, {**of_g, **metrics}

    def _backward_by_parts(self, metrics, share, *predictions):
        heads = [as_list(prediction) for prediction in predictions]
        loss = metrics['l_d_real'] + metrics['l_d_fake']
        return self.precision.backward_by_parts(loss, share, self.parameters, heads)

    def _r1(self, real_pred, real):
        gradient = self.precision.gradient(mean_logit(real_pred).sum(), real, retain_graph=True)
        return gradient.flatten(1).square().sum(dim=1).mean() / 2

    def _generator_loss(self, inputs, image, real, fake):
        """The gradient of G's losses at ``image`` and their metrics; ``real`` and ``fake`` are (logits, maps)."""
        if not inputs.train_g:
            return None, {}
        metrics = {'l_g_gan': self.loss.g_loss(detached(real[0]), fake[0])}
        if self.feature_matching:
            metrics['l_g_fm'] = self.feature_matching([maps.detach() for maps in real[1]], fake[1])
        gradient = self.precision.gradient(sum(metrics.values()), image, retain_graph=True)
        weight = self.settings.weight
        if weight:
            metrics['w_gan'] = gradient.new_full((), weight.factor(inputs.iteration))
            if hasattr(weight, 'max'):
                metrics['w_gan_of_most'] = metrics['w_gan'] / weight.max
            gradient = gradient * metrics['w_gan']
        return gradient, metrics

    def _statistics(self, real_pred, fake_pred, update_d):
        skipping = {'dlearns': as_list(fake_pred)[0].new_full((), float(update_d))} if self.settings.skip else {}
        return {**statistics(self.loss, real_pred, fake_pred), **skipping}

    def _penalties(self, due, step, metrics):
        """The penalties of D's loss; the metrics are without the factor of laziness."""
        penalties = {name: regularizer(step) for name, regularizer in due.items()}
        plain = {f'l_d_{name}': penalty / due[name].interval for name, penalty in penalties.items()}
        if plain:
            loss = metrics['l_d_real'].detach().abs() + metrics['l_d_fake'].detach().abs()
            metrics['reg_share'] = sum(plain.values()) / loss.clamp_min(torch.finfo(loss.dtype).tiny)
        metrics.update(plain)
        return penalties.values()
