"""Training-pair pool of Real-ESRGAN, which mixes degradations within a batch."""

import torch
from basicsr.utils import get_root_logger
from torch import nn

from basicsr_ganzoo.errors import OptionError


class TrainingPairPool(nn.Module):
    """Mixes the pairs of many batches, so that a batch has many degradations (Real-ESRGAN, arXiv:2107.10833, Sec. 4.1).

    While the pool fills, it returns each batch unchanged. After that each batch replaces as many random pairs, which
    are returned. Its draws from torch equal those of BasicSR's RealESRGANModel.

    Differs from BasicSR: any batch size works, because the pool holds ``queue_size`` pairs rounded down to a multiple
    of the batch size, and at least one batch; the pool is on the device of the pairs; its state dict holds the pairs.

    Args:
        queue_size: number of pairs, at least 1. A pair of a 256x256 GT image at scale 4 takes 0.8 MB.

    Raises:
        OptionError: ``queue_size`` is not a whole number from 1.
    """

    def __init__(self, queue_size=180):
        super().__init__()
        if not isinstance(queue_size, int) or queue_size < 1:
            raise OptionError(f'queue_size needs to be a whole number from 1, such as 180, got {queue_size!r}')
        self.queue_size = queue_size
        self.register_buffer('lq', None)
        self.register_buffer('gt', None)

    @torch.no_grad()
    def forward(self, lq, gt):
        """Add a batch and return one: pairs of lq (N, C, h, w) and gt (N, C, H, W)."""
        batch = len(lq)
        if self.lq is None:
            self._start(lq, gt)
        self.to(lq.device)
        held = len(self.lq)
        if held + batch <= self.capacity(batch) or held < batch:
            self.lq, self.gt = torch.cat([self.lq, lq]), torch.cat([self.gt, gt])
            return lq.contiguous(), gt.contiguous()
        order = _to_device(torch.randperm(held), lq.device)
        self.lq, self.gt = self.lq[order], self.gt[order]
        taken = self.lq[:batch].clone(), self.gt[:batch].clone()
        self.lq[:batch], self.gt[:batch] = lq, gt
        return taken

    def capacity(self, batch):
        """The number of pairs in the full pool with batches of ``batch``."""
        return max(self.queue_size // batch, 1) * batch

    def _start(self, lq, gt):
        self.lq, self.gt = lq.new_empty(0, *lq.shape[1:]), gt.new_empty(0, *gt.shape[1:])
        if self.capacity(len(lq)) != self.queue_size:
            get_root_logger().info(
                f'queue_size {self.queue_size} is not a multiple of the batch size {len(lq)}: '
                f'the pool of training pairs holds {self.capacity(len(lq))}'
            )

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # nn.Module requires buffers to have the shapes of the saved ones before loading.
        for name in ('lq', 'gt'):
            saved = state_dict.get(prefix + name)
            setattr(self, name, None if saved is None else torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _to_device(order, device):
    """Move indices without waiting for work queued on the device."""
    return order.pin_memory().to(device, non_blocking=True) if device.type == 'cuda' else order
