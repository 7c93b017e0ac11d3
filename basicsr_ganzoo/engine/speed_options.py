"""The keys of ``train`` that make a step faster or smaller: amp, channels_last, compile, ..."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from basicsr_ganzoo.config.build import check_whole_number
from basicsr_ganzoo.engine.compile import read_compile
from basicsr_ganzoo.engine.precision import read_amp
from basicsr_ganzoo.errors import OptionError

KEYS = ('amp', 'channels_last', 'compile', 'accumulate', 'grad_checkpoint')


@dataclass(frozen=True)
class SpeedOptions:
    """The values of these keys; the defaults change nothing."""

    amp: str = 'off'
    channels_last: bool = False
    compile: dict | None = None
    accumulate: int = 1
    grad_checkpoint: bool = False

    @classmethod
    def of(cls, opt):
        """The options of a training; the defaults for a file that only tests.

        Raises:
            OptionError: a value is wrong.
        """
        train_opt = opt.get('train') or {}
        for key in ('channels_last', 'grad_checkpoint'):
            if not isinstance(train_opt.get(key, False), bool):
                raise OptionError(f'train.{key} needs to be true or false, got {train_opt[key]!r}')
        accumulate = train_opt.get('accumulate', 1)
        check_whole_number('train.accumulate', 'the number of micro-batches', accumulate)
        flags = {key: train_opt.get(key, False) for key in ('channels_last', 'grad_checkpoint')}
        return cls(amp=read_amp(train_opt), compile=read_compile(train_opt), accumulate=accumulate, **flags)

    def checkpointed(self, net_g):
        """Recompute the blocks of a generator's body in the backward pass, if ``grad_checkpoint`` is on.

        Raises:
            OptionError: the generator has no body of blocks.
        """
        if self.grad_checkpoint:
            if not has_body(net_g):
                raise OptionError(
                    f'train.grad_checkpoint needs a generator with a body of blocks, such as RRDBNet or MSRResNet, and '
                    f'{type(net_g).__name__} has none; remove the key'
                )
            net_g.body = CheckpointedBody(OrderedDict(net_g.body.named_children()))
        return net_g


class CheckpointedBody(nn.Sequential):
    """Blocks that keep only their inputs for the backward pass; names, weights and outputs stay the same."""

    def forward(self, x):
        for block in self:
            x = checkpoint(block, x, use_reentrant=False) if torch.is_grad_enabled() else block(x)
        return x


def has_body(net):
    """Whether a generator has a body of consecutive blocks."""
    return isinstance(getattr(net, 'body', None), nn.Sequential)


class PerceptualNetwork(nn.Module):
    """The network of a perceptual loss, in the precision of the training and compiled like the others.

    Args:
        net: images to feature maps by name.
        precision: a :class:`~basicsr_ganzoo.engine.precision.Precision`.
    """

    def __init__(self, net, precision):
        super().__init__()
        self.net = net
        self.precision = precision

    def forward(self, image):
        # BasicSR's style loss cannot view maps in another memory format.
        return {name: features.contiguous() for name, features in self.precision.run(self.net, image).items()}
