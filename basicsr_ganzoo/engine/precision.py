"""Mixed precision: networks in half precision, everything computed from their outputs in float32."""

import contextlib

import torch
from basicsr.utils import get_root_logger
from torch.utils._pytree import tree_map

from basicsr_ganzoo.engine.compile import CompiledSteps
from basicsr_ganzoo.errors import OptionError, did_you_mean

DTYPES = {'off': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class LossScale:
    """The factor of losses under fp16, by the rule of torch's ``GradScaler``: halved after a step that is not finite,
    doubled after ``growth_interval`` finite ones.

    ``GradScaler`` itself does not fit: the step guard already knows on all ranks whether gradients are finite, and one
    scale must hold for all networks of a step, whose gradients meet at the image. Powers of 2 avoid rounding.
    """

    def __init__(self, value=2.0**16, growth_interval=2000):
        self.value = value
        self.growth_interval = growth_interval
        self.good_steps = 0

    def accept(self):
        """Record a finite step."""
        self.good_steps += 1
        if self.good_steps == self.growth_interval:
            self.value, self.good_steps = self.value * 2, 0

    def lower(self):
        """Halve the scale, down to 1. Returns whether that was possible: a step that overflows at 1 is a bad one."""
        if self.value <= 1:
            return False
        self.value, self.good_steps = self.value / 2, 0
        return True


class Precision:
    """Runs networks as ``train.amp`` says, and computes gradients with the loss scale that this needs.

    Args:
        amp: ``off``, ``bf16`` or ``fp16``.
        device: on which the networks are.
        compiled: the arguments of ``torch.compile`` for the networks of a training step; None runs them eagerly.
    """

    def __init__(self, amp='off', device='cpu', compiled=None):
        self.dtype = DTYPES[amp]
        self.device_type = torch.device(device).type
        self.loss_scale = LossScale() if amp == 'fp16' else None
        self.compiled = CompiledSteps(compiled, device)

    @property
    def scale(self):
        return self.loss_scale.value if self.loss_scale else 1.0

    def run(self, net, image, exact=False):
        """The output of ``net``, whatever its structure, in float32.

        ``exact`` also computes it in float32, and not compiled, so that it can be differentiated twice.
        """
        half = self.dtype is not None and not exact
        autocast = torch.autocast(self.device_type, self.dtype) if half else contextlib.nullcontext()
        with autocast:
            out = self.compiled.call(net, image, exact) if self.compiled.enabled else net(image)
        return tree_map(_in_float32, out) if half else out

    def gradient(self, loss, image, retain_graph=False):
        """The gradient of ``loss`` at ``image``."""
        (gradient,) = torch.autograd.grad(self._scaled(loss), image, retain_graph=retain_graph)
        return gradient if self.scale == 1 else gradient / self.scale

    def backward(self, loss, share, parameters):
        """Add ``share`` of the gradient of ``loss`` to the ``parameters``, scaled: :meth:`unscale_grads` follows."""
        torch.autograd.backward(self._scaled(loss, share), inputs=parameters)

    def backward_by_parts(self, loss, share, parameters, parts):
        """As :meth:`backward`, but through one part of the graph at each ``next`` of the iterator it returns.

        The graph behind a part is freed before the next one's, and gradients are added in place, to save memory.

        Args:
            parts: lists of tensors; the loss depends on the parameters through them alone.
        """
        loss = self._scaled(loss, share)
        gradients = iter(torch.autograd.grad(loss, [head for part in parts for head in part], materialize_grads=True))
        for part in parts:
            torch.autograd.backward(part, [next(gradients) for _ in part], inputs=parameters)
            yield

    def unscale_grads(self, parameters):
        """Remove the scale from the gradients at ``parameters``."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.scale != 1 and gradients:
            torch._foreach_div_(gradients, self.scale)

    def lower_scale(self, iteration):
        """After a step that is not finite, halve the loss scale. Returns whether there was one above 1."""
        if not self.loss_scale or not self.loss_scale.lower():
            return False
        get_root_logger().info(
            f'iteration {iteration} is skipped: fp16 overflows; the loss scale is {self.scale:g} now'
        )
        return True

    def accept(self):
        """Record a finite step."""
        if self.loss_scale:
            self.loss_scale.accept()

    def state_dict(self):
        """What a resume needs."""
        scale = self.loss_scale
        return {'scale': scale.value, 'good_steps': scale.good_steps} if scale else {}

    def load_state_dict(self, state):
        """Restore what :meth:`state_dict` returned, as far as it is there."""
        if self.loss_scale and state:
            self.loss_scale.value, self.loss_scale.good_steps = state['scale'], state['good_steps']

    def _scaled(self, value, share=1):
        value = value if share == 1 else value * share
        return value if self.scale == 1 else value * self.scale


def read_amp(train_opt):
    """``train.amp`` as a string; YAML reads ``off`` as false.

    Raises:
        OptionError: it is none of ``off``, ``bf16`` and ``fp16``.
    """
    value = train_opt.get('amp')
    value = 'off' if value is False or value is None else value
    if not isinstance(value, str) or value not in DTYPES:
        hint = did_you_mean(value, DTYPES)
        raise OptionError(f'train.amp needs to be bf16, fp16 or off, got {value!r}{hint}')
    return value


def _in_float32(value):
    half = isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value
