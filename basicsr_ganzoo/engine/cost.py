"""What a network costs and sees: parameters, FLOPs, output, receptive field."""

import inspect

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of everything that runs inside ``with FlopCounter() as counter``, backward passes included.

    A multiply-add is two FLOPs, by torch's own formulas; operators without one (element-wise ones, norms) count 0.
    torch's ``FlopCounterMode`` fails on ``autograd.grad`` inside modules, which this, without module hooks, does not.
    """

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def forward_cost(network, size, **options):
    """Parameters, output shapes and FLOPs of one forward pass, computed from shapes alone.

    Args:
        network: a discriminator class.
        size: (H, W) of the image in pixels.
        options: arguments of the class.

    Returns:
        dict with ``parameters``, ``output`` (list of shapes without the batch) and ``flops``.

    Raises:
        ValueError: the network does not take this size.
    """
    with torch.device('meta'):
        net = network(**options).eval()
        image = torch.empty(1, getattr(net, 'num_in_ch', 3), *size)
    with torch.no_grad(), FlopCounter() as counter:
        out = net(image)
    return {
        'parameters': sum(p.numel() for p in net.parameters()),
        'output': [list(o.shape[1:]) for o in (out if isinstance(out, (list, tuple)) else [out])],
        'flops': counter.total,
    }


def receptive_field(network, size=384):
    """Side in pixels of the square that one logit (of the coarsest map) sees, or None if that is the whole image.

    Found by differentiating the logits in the middle of a narrow copy of the network, so it is what the code does. The
    weights are positive and the image is close to 0, so that no path is switched off or saturated.

    Args:
        network: a discriminator class.
        size: side in pixels of the test image; a field that reaches the border counts as the whole image.
    """
    narrow = {'num_feat': 2} if 'num_feat' in inspect.signature(network).parameters else {}
    net = network(**narrow).double().eval()
    for name, tensor in net.state_dict().items():
        tensor.zero_() if name.endswith('bias') else tensor.abs_()
    channels = getattr(net, 'num_in_ch', 3)
    image = torch.full((1, channels, size, size), 1e-6, dtype=torch.float64, requires_grad=True)
    out = net(image)
    logits = out[-1] if isinstance(out, (list, tuple)) else out
    if logits.ndim < 4:
        return None
    middle = logits.shape[-1] // 2
    sides = []
    for offset in range(2):  # around an upsampling layer, odd and even logits may see squares of different sides
        (gradient,) = torch.autograd.grad(logits[0, 0, middle + offset, middle], image, retain_graph=True)
        seen = gradient[0].abs().sum(dim=(0, 2)).nonzero()
        sides.append(int(seen.max() - seen.min()) + 1)
    return None if max(sides) >= size else max(sides)
