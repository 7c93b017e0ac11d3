"""Does D know the training pictures by heart? It is asked about pictures that it has not seen."""

import contextlib

import torch

from basicsr_ganzoo.health.measures import shares_above


class HeldOut:
    """Lets the discriminators judge the real pictures of a validation, beside those of the last training step.

    Both are compared with the same generated pictures, those of that step, and come in batches and crops of its size,
    with D in the mode that it trains in: but for having been seen, held-out pictures are in the place of seen ones.
    Nothing is left behind: buffers (power iterations, batch norm) and random numbers (views) are put back.

    Args:
        adversaries: whose discriminators are asked.
    """

    def __init__(self, adversaries):
        self.adversaries = adversaries
        self.real = self.fake = None
        self.waiting, self.shares = [], {}

    def remember(self, real, fake):
        """The batches (N, C, H, W) of a training step."""
        self.real, self.fake = real, fake

    def take(self, real):
        """Take in the middle of a validation picture (1, C, H, W), of any device, unless training crops are larger."""
        if not self.adversaries or self.real is None or _is_smaller(real, self.real):
            return
        self.waiting.append(_middle(real, self.real.shape[-2:]).to(self.real.device))
        if len(self.waiting) == len(self.real):
            self._judge()

    def result(self):
        """What the validation gave, by adversary's suffix and name; nothing if it had less than two pictures to judge.

        ``auc_train`` and ``auc_held_out`` are the chances that a logit of a seen and of an unseen real picture is above
        one of a generated picture, and ``auc_error`` is the standard error of their difference.
        """
        if self.waiting:
            self._judge()
        found = {suffix: _compare(*shares) for suffix, shares in self.shares.items()}
        self.shares = {}
        return {suffix: numbers for suffix, numbers in found.items() if numbers}

    @torch.no_grad()
    def _judge(self):
        unseen, self.waiting = torch.cat(self.waiting), []
        for adversary in self.adversaries:
            with _unchanged(adversary.modules, self.real.device):
                seen_pred, fake_pred = adversary.judge(self.real, self.fake)
                unseen_pred, _ = adversary.judge(unseen, self.fake[: len(unseen)])
            _, shares = self.shares.setdefault(adversary.suffix, (shares_above(seen_pred, fake_pred), []))
            shares.append(shares_above(unseen_pred, fake_pred))


def _compare(seen, unseen):
    unseen = torch.cat(unseen)
    if min(len(seen), len(unseen)) < 2:
        return {}
    error = (seen.var() / len(seen) + unseen.var() / len(unseen)).sqrt()
    return {'auc_train': float(seen.mean()), 'auc_held_out': float(unseen.mean()), 'auc_error': float(error)}


def _is_smaller(image, reference):
    return any(have < want for have, want in zip(image.shape[-2:], reference.shape[-2:], strict=True))


def _middle(image, size):
    top, left = ((have - want) // 2 for have, want in zip(image.shape[-2:], size, strict=True))
    return image[..., top : top + size[0], left : left + size[1]].clone()


@contextlib.contextmanager
def _unchanged(modules, device):
    """Put buffers and torch's random numbers back."""
    buffers = [buffer for module in modules for buffer in module.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        yield
    for buffer, value in zip(buffers, kept, strict=True):
        buffer.copy_(value)
