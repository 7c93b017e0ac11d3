"""Where networks run: device, memory format, and wrappers for several GPUs or processes."""

import torch
from torch.nn.parallel import DataParallel, DistributedDataParallel

from basicsr_ganzoo.compat import ddp_that_leaves_buffers_alone


class Placement:
    """Moves networks to where an option file lets them run.

    Args:
        opt: the options, of which ``dist``, ``num_gpu`` and ``find_unused_parameters`` are read.
        device: the device of this process.
        channels_last: whether weights are in this memory format; feature maps then follow them.
    """

    def __init__(self, opt, device, channels_last=False):
        self.device = device
        self.channels_last = channels_last
        self.distributed, self.several_gpus = opt['dist'], opt['num_gpu'] > 1
        self.find_unused = opt.get('find_unused_parameters', False)

    def to_device(self, module):
        """``module`` on the device and in the memory format, not wrapped."""
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module

    def wrap(self, net, sync_buffers=True):
        """``net`` on the device, wrapped for several processes or GPUs if there are some.

        A discriminator has ``sync_buffers=False``: its two forward passes share one backward pass, which must not see
        buffers that a broadcast has overwritten in between. Its buffers start as those of rank 0, and the gradients
        keep the vectors of spectral norm equal.
        """
        net = self.to_device(net)
        if not self.distributed:
            return DataParallel(net) if self.several_gpus else net
        for buffer in net.buffers():
            torch.distributed.broadcast(buffer, 0)
        return DistributedDataParallel(
            net,
            device_ids=[torch.cuda.current_device()] if self.device.type == 'cuda' else None,
            find_unused_parameters=self.find_unused,
            **({} if sync_buffers else ddp_that_leaves_buffers_alone()),
        )
