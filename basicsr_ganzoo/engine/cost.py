"""Measures costs: FLOPs and bytes of any code; parameters, output and receptive field of a network."""

import inspect
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of all code inside ``with FlopCounter() as counter``, including backward passes.

    A multiply-add is two FLOPs, by torch's formulas; operators without a formula (element-wise ones, norms) count 0.
    Unlike torch's ``FlopCounterMode`` it has no module hooks, so ``autograd.grad`` inside modules works.
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


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all live tensors that were created inside ``with``: ``now``, and their ``peak``.

    A storage counts once, however many tensors share it, until it is freed, even after ``with``. Memory that an
    operator uses only internally is not counted. When entered again, ``now`` continues.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage._cdata not in self._known and storage._cdata not in given:
                self._add(storage)
        return out

    def _add(self, storage):
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, key, size).atexit = False

    def _remove(self, key, size):
        self._known.discard(key)
        self.now -= size


def _storages(tree):
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def forward_cost(network, size, **options):
    """Parameters, output shapes and FLOPs of one forward pass, computed on the meta device.

    Args:
        network: a discriminator class.
        size: (H, W) of the image in pixels.
        options: arguments of the class.

    Returns:
        dict with ``parameters``, ``output`` (list of shapes without the batch) and ``flops``.

    Raises:
        ValueError: the network rejects this size.
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
    """Side in pixels of the receptive field of one logit (of the coarsest map), or None if it is the whole image.

    Found by differentiating the central logits of a narrow copy of the network. Its weights are positive and the image
    is faint, so that no activation is off or saturated.

    Args:
        network: a discriminator class.
        size: side in pixels of the test image; a field that reaches its border counts as the whole image.
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
    for offset in range(2):  # behind an upsampling layer, odd and even logits may have different fields
        (gradient,) = torch.autograd.grad(logits[0, 0, middle + offset, middle], image, retain_graph=True)
        seen = gradient[0].abs().sum(dim=(0, 2)).nonzero()
        sides.append(int(seen.max() - seen.min()) + 1)
    return None if max(sides) >= size else max(sides)
