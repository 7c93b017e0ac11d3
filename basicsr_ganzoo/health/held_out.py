"""Does D memorise the training images? Its logits of images that it has not seen."""

import torch

from basicsr_ganzoo.engine.snapshot import Snapshot, buffers_of
from basicsr_ganzoo.health.measures import shares_above


class HeldOut:
    """Compares D's logits of the real images of a validation with those of the last training step.

    Both are compared with the same generated images, those of that step, in batches and crops of its size, with D in
    training mode: except that D has not seen them, held-out images are treated like seen ones. Buffers (power
    iterations, batch norm) and random generators (views) are restored.

    Args:
        adversaries: whose discriminators are measured.
    """

    def __init__(self, adversaries):
        self.adversaries = adversaries
        self.real = self.fake = None
        self.waiting, self.shares = [], {}

    def take(self, real):
        """Take in the middle of a validation image (1, C, H, W), on any device, unless training crops are larger."""
        if not self.adversaries or self.real is None or _is_smaller(real, self.real):
            return
        self.waiting.append(_middle(real, self.real.shape[-2:]).to(self.real.device))
        if len(self.waiting) == len(self.real):
            self._judge()

    def result(self):
        """The metrics of the validation, by adversary's suffix and name; empty if it had fewer than two images.

        ``auc_train`` and ``auc_held_out`` are the chances that a logit of a seen and of an unseen real image is above
        one of a generated image, and ``auc_error`` is the standard error of their difference.
        """
        if self.waiting:
            self._judge()
        found = {suffix: _compare(*shares) for suffix, shares in self.shares.items()}
        self.shares = {}
        return {suffix: metrics for suffix, metrics in found.items() if metrics}

    @torch.no_grad()
    def _judge(self):
        unseen, self.waiting = torch.cat(self.waiting), []
        device = self.real.device
        for adversary in self.adversaries:
            before = Snapshot(buffers_of(*adversary.modules), [adversary.generator] if adversary.generator else [])
            with torch.random.fork_rng([device] if device.type == 'cuda' else []):
                seen_pred, fake_pred = adversary.judge(self.real, self.fake)
                unseen_pred, _ = adversary.judge(unseen, self.fake[: len(unseen)])
            before.restore()
            _, shares = self.shares.setdefault(adversary.suffix, (shares_above(seen_pred, fake_pred), []))
            shares.append(shares_above(unseen_pred, fake_pred))


def _compare(seen, unseen):
    unseen = torch.cat(unseen)
    if min(len(seen), len(unseen)) < 2:
        return {}
    error = (seen.var() / len(seen) + unseen.var() / len(unseen)).sqrt()
    return {'auc_train': float(seen.mean()), 'auc_held_out': float(unseen.mean()), 'auc_error': float(error)}


def _is_smaller(image, reference):
    return any(side < needed for side, needed in zip(image.shape[-2:], reference.shape[-2:], strict=True))


def _middle(image, size):
    top, left = ((side - needed) // 2 for side, needed in zip(image.shape[-2:], size, strict=True))
    return image[..., top : top + size[0], left : left + size[1]].clone()
