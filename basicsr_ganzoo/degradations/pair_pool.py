"""The training-pair pool of Real-ESRGAN."""

import torch
from basicsr.utils import get_root_logger
from torch import nn

from basicsr_ganzoo.errors import OptionError


class TrainingPairPool(nn.Module):
    """Mixes the pairs of many batches (Real-ESRGAN, arXiv:2107.10833, Sec. 4.1), so that a batch has many degradations.

    The pool is filled first and hands every batch through. From then on a batch takes the place of as many random
    pairs, which come out instead. Where BasicSR's RealESRGANModel runs, its pool makes the same draws from torch.

    Differs from BasicSR: any batch size works, because the pool holds ``queue_size`` rounded down to a multiple of
    the batch, and at least one batch; the pool lives on the device of the pairs; its pairs are its state dict.

    Args:
        queue_size: number of pairs. A pair of a 256x256 gt at scale 4 takes 0.8 MB.

    Raises:
        OptionError: ``queue_size`` is no whole number from 1.
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
        """Take a batch in and give one out: pairs lq (N, C, h, w) and gt (N, C, H, W)."""
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
        """The number of pairs that the pool holds with batches of ``batch``."""
        return max(self.queue_size // batch, 1) * batch

    def _start(self, lq, gt):
        self.lq, self.gt = lq.new_empty(0, *lq.shape[1:]), gt.new_empty(0, *gt.shape[1:])
        if self.capacity(len(lq)) != self.queue_size:
            get_root_logger().info(
                f'queue_size {self.queue_size} is no multiple of the batch of {len(lq)}: '
                f'the pool of training pairs holds {self.capacity(len(lq))}'
            )

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # Buffers take the size of those in the file, where nn.Module wants them to have it already.
        for name in ('lq', 'gt'):
            saved = state_dict.get(prefix + name)
            setattr(self, name, None if saved is None else torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _to_device(order, device):
    """Move indices without waiting for what the device still has to do."""
    return order.pin_memory().to(device, non_blocking=True) if device.type == 'cuda' else order
