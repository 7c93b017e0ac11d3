"""One discriminator's whole part of a training step."""

import torch


class StockLoss:
    """BasicSR's ``GANLoss`` (or any loss with its call) as a loss that an :class:`Adversary` can use."""

    def __init__(self, loss):
        self.loss = loss

    def d_loss(self, real, fake):
        return self._mean(real, True, True), self._mean(fake, False, True)

    def g_loss(self, real, fake):
        return self._mean(fake, True, False)

    def _mean(self, pred, target_is_real, is_disc):
        return torch.stack([self.loss(p, target_is_real, is_disc=is_disc) for p in _as_list(pred)]).mean()


class Adversary:
    """A discriminator with its GAN loss and its optimizer.

    D runs forward once on the real and once on the fake images; its loss and G's are both taken from these logits,
    which changes no number, because D's weights are the same in both halves of a step.

    Args:
        net_d: the discriminator, images (N, C, H, W) to raw logits (a tensor, or a list of one per scale).
        loss: an ``AdversarialLoss``, or a loss with the call of BasicSR's ``GANLoss``.
        optimizer: of ``net_d``'s parameters.
    """

    def __init__(self, net_d, loss, optimizer):
        self.net_d = net_d
        self.loss = loss if hasattr(loss, 'd_loss') else StockLoss(loss)
        self.optimizer = optimizer

    def step(self, real, fake, train_g=True):
        """Update D once.

        Args:
            real: images (N, C, H, W).
            fake: images of the same shape, without a graph.
            train_g: also play G's game.

        Returns:
            The gradient of G's loss at ``fake`` (None without ``train_g``), and the log: 0-dim tensors by name.
        """
        fake = fake.detach().requires_grad_(train_g)
        real_pred, fake_pred = self.net_d(real), self.net_d(fake)
        gradient, log = None, {}
        if train_g:
            log['l_g_gan'] = self.loss.g_loss(_detached(real_pred), fake_pred)
            (gradient,) = torch.autograd.grad(log['l_g_gan'], fake, retain_graph=True)

        log['l_d_real'], log['l_d_fake'] = self.loss.d_loss(real_pred, fake_pred)
        log['out_d_real'], log['out_d_fake'] = _mean_logit(real_pred), _mean_logit(fake_pred)
        self._update(log['l_d_real'] + log['l_d_fake'])
        return gradient, {name: value.detach() for name, value in log.items()}

    def _update(self, l_d):
        self.optimizer.zero_grad(set_to_none=True)
        # Naming the inputs spares the gradient at the image, which D's game has no use for.
        torch.autograd.backward(l_d, inputs=[p for p in self.net_d.parameters() if p.requires_grad])
        self.optimizer.step()


def _as_list(pred):
    return list(pred) if isinstance(pred, (list, tuple)) else [pred]


def _detached(pred):
    return [p.detach() for p in pred] if isinstance(pred, (list, tuple)) else pred.detach()


def _mean_logit(pred):
    return torch.stack([p.detach().float().mean() for p in _as_list(pred)]).mean()
