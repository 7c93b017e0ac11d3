"""One discriminator's whole part of a training step."""

import torch
from torch import nn

from basicsr_ganzoo._averaging import average_into
from basicsr_ganzoo._logits import as_list, at_least_float32, detached, mean_pair_accuracy, share_above
from basicsr_ganzoo.regularizers.base import DiscStep, image_gradient


class StockLoss:
    """BasicSR's ``GANLoss`` (or any loss with its call) as a loss that an :class:`Adversary` can use."""

    def __init__(self, loss):
        self.loss = loss

    def d_loss(self, real, fake):
        return self._mean(real, True, True), self._mean(fake, False, True)

    def g_loss(self, real, fake):
        return self._mean(fake, True, False)

    def accuracy(self, real, fake):
        middle = {'lsgan': 0.5, 'wgan': (real.mean() + fake.mean()) / 2}
        boundary = middle.get(getattr(self.loss, 'gan_type', None), 0)
        return share_above(real, boundary), 1 - share_above(fake, boundary)

    def _mean(self, pred, target_is_real, is_disc):
        return torch.stack([self.loss(p, target_is_real, is_disc=is_disc) for p in as_list(pred)]).mean()


class WithFeatures(nn.Module):
    """A discriminator whose forward pass gives its feature maps too: image -> (logits, maps)."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, image):
        return self.net.features(image)


class Adversary:
    """A discriminator with its GAN loss, its regularizers, its views and its optimizer.

    D runs forward once on the real and once on the fake images; its loss and G's are both taken from these logits,
    which changes no number, because D's weights are the same in both halves of a step. Views come before D in both.

    Args:
        net_d: the discriminator, images (N, C, H, W) to raw logits (a tensor, or a list of one per scale); with
            ``feature_matching`` to (logits, maps), see :class:`WithFeatures`.
        loss: an ``AdversarialLoss``, or a loss with the call of BasicSR's ``GANLoss``.
        optimizer: of ``net_d``'s parameters.
        views: what D is shown instead of the plain images, one after the other.
        regularizers: of D, by name.
        feature_matching: G's loss of D's maps on real and on fake images.
        weight: of the adversary's gradient at the image, one of ``gan_weights``; None is 1.
        skip: decides in which steps D does not learn, a :class:`~basicsr_ganzoo.skipping.SkipWhenStrong`.
        grad_clip: the norm to which the trainer clips D's gradient; None does not.
        weight_clip: D's weights are clipped to [-weight_clip, weight_clip] after each update (WGAN, arXiv:1701.07875).
        average: a copy of D that follows it as a moving average, and the decay: (network, decay).
        suffix: what the names of its numbers carry in the log of a training with several adversaries.
        block: of the option file in which its keys stand, with a dot, for messages.
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
        self.suffix = suffix
        self.block = block
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
        """Play a step's games and update D: :meth:`play` and :meth:`update`."""
        gradient, log = self.play(real, fake, train_g, iteration)
        self.update()
        return gradient, log

    def play(self, real, fake, train_g=True, iteration=0, probe=False):
        """Play a step's games. D's gradients are left at its parameters, for :meth:`update`.

        Args:
            real: images (N, C, H, W).
            fake: images of the same shape, without a graph.
            train_g: also play G's game.
            iteration: of the training, for lazy regularizers and the weight.
            probe: also measure R1, which costs a backward pass through D.

        Returns:
            The gradient of G's loss at ``fake`` (None without ``train_g``), and the log: 0-dim tensors by name.
        """
        due = {name: regularizer for name, regularizer in self.regularizers.items() if regularizer.is_due(iteration)}
        needs_real, needs_fake = (any(getattr(r, f'needs_{s}_grad') for r in due.values()) for s in ('real', 'fake'))
        real = real.detach().requires_grad_(needs_real or probe)
        fake = fake.detach().requires_grad_(needs_fake or train_g)
        step, maps = self._look(real, fake, iteration)
        gradient, log = self._g_game(step, maps, fake) if train_g else (None, {})
        if probe:
            log['r1'] = image_gradient(step.real_pred, step.real, create_graph=False).square().sum(dim=1).mean() / 2
        self._d_game(step, due, log)
        return gradient, {name: value.detach() for name, value in log.items()}

    def update(self):
        """Update D with the gradients that :meth:`play` left, unless it sits this step out."""
        if not self.learns:
            return
        self.optimizer.step()
        if self.weight_clip:
            with torch.no_grad():
                for parameter in self.parameters:
                    parameter.clamp_(-self.weight_clip, self.weight_clip)
        if self.average:
            average_into(*self.average, self.bare)

    def observe(self, numbers):
        """Let the weight and the skipping follow the last step's ``numbers``, which are the same on all ranks."""
        for follower in (self.weight, self.skip):
            if follower:
                follower.observe(numbers)

    def judge(self, real, fake):
        """D's logits of images, behind its views, without any game: (real_pred, fake_pred)."""
        step, _ = self._look(real, fake, 0)
        return step.real_pred, step.fake_pred

    def logits(self, image):
        """D's logits of what it is shown."""
        out = self.net_d(image)
        return out[0] if self.feature_matching else out

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

    def _look(self, real, fake, iteration):
        for view in self.views:
            real, fake = view(real, fake)
        real_out, fake_out = self.net_d(real), self.net_d(fake)
        maps = None
        if self.feature_matching:
            (real_out, real_maps), (fake_out, fake_maps) = real_out, fake_out
            maps = [m.detach() for m in real_maps], fake_maps
        return DiscStep(self.logits, real, fake, real_out, fake_out, iteration), maps

    def _g_game(self, step, maps, fake):
        log = {'l_g_gan': self.loss.g_loss(detached(step.real_pred), step.fake_pred)}
        if maps:
            log['l_g_fm'] = self.feature_matching(*maps)
        (gradient,) = torch.autograd.grad(sum(log.values()), fake, retain_graph=True)
        if self.weight:
            log['w_gan'] = gradient.new_full((), self.weight.factor(step.iteration))
            if hasattr(self.weight, 'most'):
                log['w_gan_of_most'] = log['w_gan'] / self.weight.most
            gradient = gradient * log['w_gan']
        return gradient, log

    def _d_game(self, step, due, log):
        log['l_d_real'], log['l_d_fake'] = self.loss.d_loss(step.real_pred, step.fake_pred)
        log.update(_statistics(self.loss, step))
        self.learns = not (self.skip and self.skip.skips)
        if self.skip:
            log['dlearns'] = step.real.new_full((), float(self.learns))
        if not self.learns:
            return
        charges = {name: regularizer(step) for name, regularizer in due.items()}
        plain = {f'l_d_{name}': charge / due[name].interval for name, charge in charges.items()}
        if plain:
            game = log['l_d_real'].detach().abs() + log['l_d_fake'].detach().abs()
            log['reg_share'] = sum(plain.values()) / game.clamp_min(torch.finfo(game.dtype).tiny)
        log.update(plain)
        self.optimizer.zero_grad(set_to_none=True)
        # Naming the inputs spares the gradient at the image, which D's game has no use for.
        torch.autograd.backward(sum([log['l_d_real'], log['l_d_fake'], *charges.values()]), inputs=self.parameters)


@torch.no_grad()
def _statistics(loss, step):
    """What the logits tell of D: their means, the shares that it judges rightly, and the largest of them."""
    real, fake = ([at_least_float32(p) for p in as_list(pred)] for pred in (step.real_pred, step.fake_pred))
    rightly = torch.stack([torch.stack(loss.accuracy(r, f)) for r, f in zip(real, fake, strict=True)]).mean(dim=0)
    return {
        'out_d_real': torch.stack([r.mean() for r in real]).mean(),
        'out_d_fake': torch.stack([f.mean() for f in fake]).mean(),
        'acc_d_real': rightly[0],
        'acc_d_fake': rightly[1],
        'acc_pair': mean_pair_accuracy(real, fake),
        'gap': torch.stack([r.mean() - f.mean() for r, f in zip(real, fake, strict=True)]).mean(),
        'max_logit': torch.stack([x.abs().max() for x in (*real, *fake)]).max(),
    }
