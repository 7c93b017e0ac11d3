"""One discriminator's whole part of a training step."""

import torch
from torch import nn

from basicsr_ganzoo.adversarial.adapters import StockLoss, WithFeatures
from basicsr_ganzoo.adversarial.objective import Inputs, Objective
from basicsr_ganzoo.adversarial.settings import AdversarySettings
from basicsr_ganzoo.engine import Precision, StepResult
from basicsr_ganzoo.engine.guard import clip_gradients
from basicsr_ganzoo.engine.random_state import own_generator


class Adversary(Objective):
    """A discriminator with its GAN loss, its regularizers, its views and its optimizer.

    A training step calls :meth:`step` for each part of a batch, then :meth:`clip_gradients`, and, if everything is
    finite, :meth:`commit`.

    Args:
        net_d: the discriminator, images (N, C, H, W) to raw logits (a tensor, or a list of one per scale); with
            ``feature_matching`` to (logits, feature maps), see :class:`WithFeatures`.
        loss: an ``AdversarialLoss``, or a loss with the call of BasicSR's ``GANLoss``.
        optimizer: of ``net_d``'s parameters.
        views: transforms of real and fake images before D, applied in this order.
        regularizers: of D, by name.
        feature_matching: G's loss between D's feature maps of real and of fake images.
        settings: an :class:`~basicsr_ganzoo.adversarial.settings.AdversarySettings`.
        precision: in which D runs; None is float32. Regularizers may require float32 where they are due.
    """

    def __init__(
        self,
        net_d,
        loss,
        optimizer,
        views=(),
        regularizers=None,
        feature_matching=None,
        settings=None,
        precision=None,
    ):
        self.net_d = net_d
        self.loss = loss if hasattr(loss, 'd_loss') else StockLoss(loss)
        self.parameters = [parameter for parameter in net_d.parameters() if parameter.requires_grad]
        self.optimizer = optimizer
        self.views = views
        self.regularizers = nn.ModuleDict(regularizers or {})
        self.feature_matching = feature_matching
        self.settings = settings or AdversarySettings()
        self.suffix, self.block = self.settings.suffix, self.settings.block
        self.precision = precision or Precision()
        self.generator = None
        self.learns = True

    @property
    def bare(self):
        """The discriminator itself, whose weights are saved, without wrappers for several GPUs or for feature maps."""
        net = getattr(self.net_d, 'module', self.net_d)
        return net.net if isinstance(net, WithFeatures) else net

    @property
    def saved(self):
        """The networks that a checkpoint holds, by their keys in the file."""
        average = self.settings.average
        return {'params': self.bare, **({'params_ema': average.net} if average else {})}

    @property
    def modules(self):
        """Everything of it that has buffers."""
        return [self.net_d, self.regularizers]

    def seed(self, *seeds):
        """From now on draw random numbers from a generator of its own, seeded from ``seeds`` and its name.

        Views and regularizers then leave torch's global generator alone, so that changing them changes no draw of data,
        of a degradation or of another adversary.
        """
        self.generator = own_generator(self.parameters[0].device, *seeds, self.settings.name)
        for view in self.views:
            view.generator = self.generator

    def step(self, real, fake, iteration=0, train_g=True, measure_r1=False, share=1.0):
        """Compute the losses of a step; D's gradients are added to those at its parameters.

        Args:
            real: images (N, C, H, W).
            fake: images of the same shape.
            iteration: of the training, for lazy regularizers and the GAN weight.
            train_g: also compute G's losses.
            measure_r1: also measure R1, which costs a backward pass through D.
            share: of this call in D's gradient, where a step consists of several calls.

        Returns:
            A :class:`StepResult`: the gradient of G's loss at ``fake`` (None without ``train_g``), and the metrics.
        """
        self.learns = not (self.settings.skip and self.settings.skip.skips)
        inputs = Inputs(real.detach(), fake.detach(), iteration, train_g, measure_r1, share)
        gradient, metrics = self.compute(inputs, self.learns)
        if train_g:
            metrics['grad_gan'] = gradient.norm()
        return StepResult(gradient, {f'{name}{self.suffix}': value.detach() for name, value in metrics.items()})

    def clip_gradients(self):
        """Finish D's gradients: remove the loss scale of fp16 and clip them. Returns their norm before as a metric."""
        if not self.learns:
            return {}
        self.precision.unscale_grads(self.parameters)
        return {f'grad_net_d{self.suffix}': clip_gradients(self.parameters, self.settings.grad_clip)}

    def commit(self, metrics):
        """Update D, unless it skips this step, and let the GAN weight and the skipping follow the step's ``metrics``.

        Args:
            metrics: floats by name, the same on all ranks.
        """
        if self.learns:
            self.optimizer.step()
            if self.settings.weight_clip:
                self._clip_weights(self.settings.weight_clip)
            if self.settings.average:
                self.settings.average.move()
        own = {key.removesuffix(self.suffix): value for key, value in metrics.items() if key.endswith(self.suffix)}
        for follower in (self.settings.weight, self.settings.skip):
            if follower:
                follower.observe(own)

    @torch.no_grad()
    def _clip_weights(self, bound):
        for parameter in self.parameters:
            parameter.clamp_(-bound, bound)

    def judge(self, real, fake):
        """D's logits of images, behind its views, without any loss: (real_pred, fake_pred)."""
        real, fake = self.view(real, fake)
        return self.logits(real), self.logits(fake)

    def state_dict(self):
        """What a resume needs beside the network, the optimizer and the random generator."""
        state = {'regularizers': self.regularizers.state_dict()}
        for name in ('weight', 'skip', 'average'):
            if getattr(self.settings, name):
                state[name] = getattr(self.settings, name).state_dict()
        return state

    def load_state_dict(self, state):
        """Restore what :meth:`state_dict` returned, as far as it is there."""
        self.regularizers.load_state_dict(state.get('regularizers', {}), strict=False)
        for name in ('weight', 'skip'):
            if getattr(self.settings, name) and state.get(name):
                getattr(self.settings, name).load_state_dict(state[name])
        if self.settings.average:
            self.settings.average.load_state_dict(state.get('average') or self.bare.state_dict())
