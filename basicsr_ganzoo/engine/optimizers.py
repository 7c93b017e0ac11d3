"""Optimizers by their names in ``torch.optim``, in their fast forms."""

import functools
import inspect

import torch

from basicsr_ganzoo.config.build import check_choice, construct, is_number
from basicsr_ganzoo.errors import OptionError

#: how an optimizer computes, which changes its results by rounding alone
FORMS = ('foreach', 'fused', 'capturable', 'differentiable')


def optimizer_classes():
    """The optimizers of ``torch.optim`` by name, except LBFGS (needs a closure) and SparseAdam (sparse gradients)."""
    base, unfit = torch.optim.Optimizer, {'Optimizer', 'LBFGS', 'SparseAdam'}
    classes = {name: entry for name, entry in vars(torch.optim).items() if isinstance(entry, type)}
    return {name: entry for name, entry in classes.items() if issubclass(entry, base) and name not in unfit}


def arguments_of(kind, options):
    """The arguments with which to call an optimizer: ``options``, whose lists hold floats.

    Torch refuses ``betas: [0, 0.99]``, as YAML reads it.

    Raises:
        ValueError: a list has another length than the optimizer's own, which torch reports only in the first step.
    """
    for name, parameter in inspect.signature(kind).parameters.items():
        value, default = options.get(name), parameter.default
        fits = isinstance(value, list) and isinstance(default, tuple) and len(value) == len(default)
        if value is not None and isinstance(default, tuple) and not (fits and all(map(is_number, value))):
            raise ValueError(f'{kind.__name__} needs {name} to be a list of {len(default)} numbers, got {value!r}')
    return {key: [float(v) for v in value] if isinstance(value, list) else value for key, value in options.items()}


def optimizer_class(name):
    """The optimizer of this name.

    Raises:
        ValueError: there is no such optimizer for training here; the message suggests a similar name.
    """
    classes = optimizer_classes()
    check_choice('the optimizer', 'type', name, classes)
    return classes[name]


def build_optimizer(block, where, net):
    """Build the optimizer that ``block`` of an option file describes, for the trainable parameters of ``net``.

    It is fused, one pass over the weights, where torch has a kernel for it and the block does not choose another form.

    Args:
        block: a mapping with ``type``, ``lr`` and other arguments of the optimizer.
        where: its dotted key, for messages.
        net: the network.

    Raises:
        OptionError: the block is missing or wrong, or the network has no trainable parameter.
    """
    options = dict(block or {})
    if 'type' not in options:
        raise OptionError(f'{where} is missing; it needs a type, such as Adam, and a learning rate lr')
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if not trainable:
        raise OptionError(f'{where} has nothing to optimize: no parameter of the network requires a gradient')
    for name, value in options.items():
        if isinstance(value, str) and name != 'type':
            raise OptionError(
                f'{where}.{name} is the text {value!r}, not a number; YAML needs a dot in it: 0.0001 or 1.0e-4'
            )
    try:
        kind = optimizer_class(options.pop('type'))
        if not options.keys() & set(FORMS) and can_be_fused(kind, trainable[0].device.type):
            options['fused'] = True
        return construct(kind, {'params': trainable, **arguments_of(kind, options)})
    except (TypeError, ValueError) as error:
        raise OptionError(f'{where}: {error}') from error


@functools.cache
def can_be_fused(kind, device_type):
    """Whether torch has a fused kernel of an optimizer for a device type, which only a step shows."""
    weight = torch.nn.Parameter(torch.ones(1, device=device_type))
    weight.grad = torch.ones_like(weight)
    try:
        kind([weight], lr=0.1, fused=True).step()
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return True
