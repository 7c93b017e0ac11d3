"""One discriminator's whole part of a training step."""

import contextlib
import functools

import torch
from torch import nn

from basicsr_ganzoo.adversarial.adapters import StockLoss, WithFeatures, statistics
from basicsr_ganzoo.engine.ema import MovingAverage
from basicsr_ganzoo.engine.optimizers import step_unless
from basicsr_ganzoo.engine.precision import Precision
from basicsr_ganzoo.losses.logits import as_list, detached, mean_logit
from basicsr_ganzoo.regularizers.base import DiscStep


class Adversary:
    """A discriminator with its GAN loss, its regularizers, its views and its optimizer.

    D runs forward once on the real and once on the fake images; its loss and G's are both taken from these logits,
    which changes no number, because D's weights are the same in both halves of a step. Views come before D in both.
    Where the loss judges real and fake apart, and nothing else needs both, the graph of one is freed before the other.

    Args:
        net_d: the discriminator, images (N, C, H, W) to raw logits (a tensor, or a list of one per scale); with
            ``feature_matching`` to (logits, maps), see :class:`WithFeatures`.
        loss: an ``AdversarialLoss``, or a loss with the call of BasicSR's ``GANLoss``.
        optimizer: of ``net_d``'s parameters.
        views: what D is shown instead of the plain images, one after the other.
        regularizers: of D, by name.
        feature_matching: G's loss of D's maps on real and on fake images.
        weight: of the adversary's gradient at the image, one of ``gan_weights``; None is 1.
        skip: decides in which steps D does not learn, a :class:`~basicsr_ganzoo.adversarial.skip.SkipWhenStrong`.
        grad_clip: the norm to which the trainer clips D's gradient; None does not.
        weight_clip: D's weights are clipped to [-weight_clip, weight_clip] after each update (WGAN, arXiv:1701.07875).
        average: a copy of D that follows it as a moving average, and the decay: (network, decay).
        suffix: what the names of its numbers carry in the log of a training with several adversaries.
        block: of the option file in which its keys stand, with a dot, for messages.
        precision: in which D runs; None is float32. Where a regularizer asks for it, a step is in float32 all the same.
    """

    def __init__(
        self,
        net_d,
        loss,
        optimizer,
        views=(),
        regularizers=None,
        feature_matching=None,
        weight=None,
        skip=None,
        grad_clip=None,
        weight_clip=None,
        average=None,
        suffix='',
        block='train.',
        precision=None,
    ):
        self.net_d = net_d
        self.loss = loss if hasattr(loss, 'd_loss') else StockLoss(loss)
        self.optimizer = optimizer
        self.views = views
        self.regularizers = nn.ModuleDict(regularizers or {})
        self.feature_matching = feature_matching
        self.weight = weight
        self.skip = skip
        self.grad_clip = grad_clip
        self.weight_clip = weight_clip
        self.average = average
        self._averaging = MovingAverage(average[0], self.bare) if average else None
        self.suffix = suffix
        self.block = block
        self.precision = precision or Precision()
        self.learns = True

    @property
    def bare(self):
        """The discriminator itself, whose weights are saved: without what wraps it for several GPUs or for features."""
        net = getattr(self.net_d, 'module', self.net_d)
        return net.net if isinstance(net, WithFeatures) else net

    @property
    def saved(self):
        """The networks that a checkpoint holds, by their keys in the file."""
        return {'params': self.bare, **({'params_ema': self.average[0]} if self.average else {})}

    @property
    def modules(self):
        """Everything of it that has buffers."""
        return [self.net_d, self.regularizers]

    @property
    def parameters(self):
        """D's parameters that are trained."""
        return [p for p in self.net_d.parameters() if p.requires_grad]

    def step(self, real, fake, train_g=True, iteration=0):
        """Play a step's games and update D: :meth:`play`, :meth:`finish` and :meth:`update`."""
        self.optimizer.zero_grad(set_to_none=True)
        gradient, log = self.play(real, fake, train_g, iteration)
        self.finish()
        self.update()
        return gradient, log

    def play(self, real, fake, train_g=True, iteration=0, probe=False, share=1.0):
        """Play a step's games. D's gradients are added at its parameters, for :meth:`finish` and :meth:`update`.

        Args:
            real: images (N, C, H, W).
            fake: images of the same shape, without a graph.
            train_g: also play G's game.
            iteration: of the training, for lazy regularizers and the weight.
            probe: also measure R1, which costs a backward pass through D.
            share: of D's gradient in that of the step, where a step is several games.

        Returns:
            The gradient of G's loss at ``fake`` (None without ``train_g``), and the log: 0-dim tensors by name.
        """
        due = {name: regularizer for name, regularizer in self.regularizers.items() if regularizer.is_due(iteration)}
        self.learns = not (self.skip and self.skip.skips)
        apart = getattr(self.loss, 'separable', False) and not due
        play = self._play_apart if apart else functools.partial(self._play_at_once, due)
        gradient, log = play(probe, real.detach(), fake.detach(), train_g, iteration, share)
        return gradient, {name: value.detach() for name, value in log.items()}

    def finish(self):
        """Take the scale of mixed precision out of D's gradients, when all games of a step are played."""
        self.precision.unscale(self.parameters)

    def update(self, bad=None):
        """Update D with the gradients that :meth:`play` left, unless it sits this step out.

        Nothing changes where ``bad``, a 0-dim tensor, is 1; that is not read.
        """
        if not self.learns:
            return
        step_unless(bad, self.optimizer)
        if self.weight_clip:
            self._clip_weights(bad)
        if self.average:
            self._averaging.move(self.average[1], bad)

    @torch.no_grad()
    def _clip_weights(self, bad):
        bound = self.weight_clip if bad is None else self.weight_clip / (1 - bad)
        for parameter in self.parameters:
            parameter.clamp_(-bound, bound)

    def observe(self, numbers):
        """Let the weight and the skipping follow a step's ``numbers``, floats which are the same on all ranks."""
        for follower in (self.weight, self.skip):
            if follower:
                follower.observe(numbers)

    def judge(self, real, fake):
        """D's logits of images, behind its views, without any game: (real_pred, fake_pred)."""
        real, fake = self._view(real, fake)
        with self.precision.compiler.off():  # too rare for a compiler
            return self.logits(real), self.logits(fake)

    def logits(self, image, exact=False):
        """D's logits of what it is shown; ``exact`` in float32, whatever the precision of the training."""
        return self._ask(image, exact)[0]

    def state_dict(self):
        """What a resume needs beside the network and the optimizer."""
        state = {'regularizers': self.regularizers.state_dict()}
        for name in ('weight', 'skip'):
            if getattr(self, name):
                state[name] = getattr(self, name).state_dict()
        if self.average:
            state['average'] = self.average[0].state_dict()
        return state

    def load_state_dict(self, state):
        """Take over what :meth:`state_dict` gave, as far as it is there."""
        self.regularizers.load_state_dict(state.get('regularizers', {}), strict=False)
        for name in ('weight', 'skip'):
            if getattr(self, name) and state.get(name):
                getattr(self, name).load_state_dict(state[name])
        if self.average:
            self.average[0].load_state_dict(state.get('average') or self.bare.state_dict())

    def _view(self, real, fake):
        for view in self.views:
            real, fake = view(real, fake)
        return real, fake

    def _ask(self, image, exact=False):
        """D's logits and, for feature matching, its maps."""
        out = self.precision.run(self.net_d, image, exact)
        return out if self.feature_matching else (out, None)

    def _play_at_once(self, due, probe, real, fake, train_g, iteration, share):
        """Both graphs of D are alive together, for losses and regularizers that compare real and fake."""
        needs_real, needs_fake = (any(getattr(r, f'needs_{s}_grad') for r in due.values()) for s in ('real', 'fake'))
        exact = any(regularizer.full_precision for regularizer in due.values())
        real, shown = real.requires_grad_(needs_real or probe), fake.requires_grad_(needs_fake or train_g)
        real, fake = self._view(real, shown)
        (real_pred, real_maps), (fake_pred, fake_maps) = self._ask(real, exact), self._ask(fake, exact)
        step = DiscStep(functools.partial(self.logits, exact=exact), real, fake, real_pred, fake_pred, iteration)
        log = {'r1': self._r1(real_pred, real)} if probe else {}
        log['l_d_real'], log['l_d_fake'] = self.loss.d_loss(real_pred, fake_pred)
        self._observe_game(log, real_pred, fake_pred)
        # Several processes exchange the gradients after one backward pass, and charges have graphs of their own.
        by_parts = self.learns and not due and not hasattr(self.net_d, 'no_sync')
        parts = self._d_game_by_parts(log, share, real_pred, fake_pred) if by_parts else iter(())
        next(parts, None)  # real's graph is gone before G's game needs memory
        gradient, log_g = self._g_game(step, real_maps, fake_maps, shown) if train_g else (None, {})
        next(parts, None)
        if self.learns and not by_parts:
            charges = self._charge(due, step, log)
            # Naming the inputs spares the gradient at the image, which D's game has no use for.
            self.precision.backward(sum([log['l_d_real'], log['l_d_fake'], *charges]), share, self.parameters)
        return gradient, {**log_g, **log}

    def _d_game_by_parts(self, log, share, *predictions):
        heads = [as_list(prediction) for prediction in predictions]
        return self.precision.backward_by_parts(log['l_d_real'] + log['l_d_fake'], share, self.parameters, heads)

    def _play_apart(self, probe, real, fake, train_g, iteration, share):
        """The graph of D's answer to real is gone before it is asked about fake."""
        real, shown = real.requires_grad_(probe), fake.requires_grad_(train_g)
        real, fake = self._view(real, shown)
        # Several processes exchange the gradients once, after the second half.
        with getattr(self.net_d, 'no_sync', contextlib.nullcontext)(), torch.set_grad_enabled(self.learns or probe):
            real_pred, real_maps = self._ask(real)
            r1 = {'r1': self._r1(real_pred, real)} if probe else {}
            l_d_real = self.loss.d_loss(real_pred, detached(real_pred))[0]
            if self.learns:
                self.precision.backward(l_d_real, share, self.parameters)
        real_pred = detached(real_pred)
        fake_pred, fake_maps = self._ask(fake)
        step = DiscStep(self.logits, real, fake, real_pred, fake_pred, iteration)
        gradient, log = self._g_game(step, real_maps, fake_maps, shown) if train_g else (None, {})
        log.update(r1)
        log['l_d_real'], log['l_d_fake'] = l_d_real, self.loss.d_loss(real_pred, fake_pred)[1]
        self._observe_game(log, real_pred, fake_pred)
        if self.learns:
            self.precision.backward(log['l_d_fake'], share, self.parameters)
        return gradient, log

    def _r1(self, real_pred, real):
        gradient = self.precision.gradient(mean_logit(real_pred).sum(), real, retain_graph=True)
        return gradient.flatten(1).square().sum(dim=1).mean() / 2

    def _g_game(self, step, real_maps, fake_maps, fake):
        log = {'l_g_gan': self.loss.g_loss(detached(step.real_pred), step.fake_pred)}
        if self.feature_matching:
            log['l_g_fm'] = self.feature_matching([m.detach() for m in real_maps], fake_maps)
        gradient = self.precision.gradient(sum(log.values()), fake, retain_graph=True)
        if self.weight:
            log['w_gan'] = gradient.new_full((), self.weight.factor(step.iteration))
            if hasattr(self.weight, 'max'):
                log['w_gan_of_most'] = log['w_gan'] / self.weight.max
            gradient = gradient * log['w_gan']
        return gradient, log

    def _observe_game(self, log, real_pred, fake_pred):
        log.update(statistics(self.loss, real_pred, fake_pred))
        if self.skip:
            log['dlearns'] = log['l_d_real'].new_full((), float(self.learns))

    def _charge(self, due, step, log):
        """What the regularizers charge, for D's loss; without laziness' factor in the log."""
        charges = {name: regularizer(step) for name, regularizer in due.items()}
        plain = {f'l_d_{name}': charge / due[name].interval for name, charge in charges.items()}
        if plain:
            game = log['l_d_real'].detach().abs() + log['l_d_fake'].detach().abs()
            log['reg_share'] = sum(plain.values()) / game.clamp_min(torch.finfo(game.dtype).tiny)
        log.update(plain)
        return charges.values()
