"""Optimizers by their names in ``torch.optim``, in their fast forms."""

import functools
import inspect

import torch

from basicsr_ganzoo.config.build import check_choice, construct, is_number
from basicsr_ganzoo.errors import OptionError

#: how an optimizer computes, which changes its numbers by rounding alone
FORMS = ('foreach', 'fused', 'capturable', 'differentiable')


def optimizer_classes():
    """The optimizers of ``torch.optim`` by name, but for LBFGS (wants a closure) and SparseAdam (sparse gradients)."""
    base, unfit = torch.optim.Optimizer, {'Optimizer', 'LBFGS', 'SparseAdam'}
    classes = {name: entry for name, entry in vars(torch.optim).items() if isinstance(entry, type)}
    return {name: entry for name, entry in classes.items() if issubclass(entry, base) and name not in unfit}


def arguments_of(kind, options):
    """The arguments with which to call an optimizer: ``options``, whose lists hold floats.

    Torch refuses ``betas: [0, 0.99]``, as YAML reads it.

    Raises:
        ValueError: a list has not as many numbers as the optimizer's own one, of which torch tells in the first step.
    """
    for name, parameter in inspect.signature(kind).parameters.items():
        value, wanted = options.get(name), parameter.default
        fits = isinstance(value, list) and isinstance(wanted, tuple) and len(value) == len(wanted)
        if value is not None and isinstance(wanted, tuple) and not (fits and all(map(is_number, value))):
            raise ValueError(f'{kind.__name__} needs {name} to be a list of {len(wanted)} numbers, got {value!r}')
    return {key: [float(v) for v in value] if isinstance(value, list) else value for key, value in options.items()}


def optimizer_class(name):
    """The optimizer of this name.

    Raises:
        ValueError: there is none that training here can use; the message names a near one.
    """
    classes = optimizer_classes()
    check_choice('the optimizer', 'type', name, classes)
    return classes[name]


def build_optimizer(block, where, net):
    """Build the optimizer that ``block`` of an option file describes for what ``net`` trains.

    It is fused where torch has a kernel for it and the block does not say otherwise: one pass over the weights.

    Args:
        block: a mapping with ``type``, ``lr`` and other arguments of the optimizer.
        where: its dotted key, for messages.
        net: the network.

    Raises:
        OptionError: the block is missing or wrong, or nothing of the network is to be trained.
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
                f'{where}.{name} is the text {value!r}, not a number; YAML wants a dot in it: 0.0001 or 1.0e-4'
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
    """Whether torch has a fused kernel of an optimizer for a kind of device, which it tells when a step is taken."""
    weight = torch.nn.Parameter(torch.ones(1, device=device_type))
    weight.grad = torch.ones_like(weight)
    try:
        kind([weight], lr=0.1, fused=True).step()
    except (NotImplementedError, RuntimeError, TypeError):
        return False
    return True


def skips_on_device(optimizer):
    """Whether :func:`step_unless` can leave the weights and the state of an optimizer alone without reading ``bad``.

    torch's fused kernels can, but where momentum has not begun: SGD takes it for begun after a step that was skipped.
    """
    fused = all(group.get('fused') and not group.get('momentum') for group in optimizer.param_groups)
    return fused and getattr(optimizer, '_step_supports_amp_scaling', False)


def step_unless(bad, optimizer):
    """Take a step, but none where ``bad``, a 0-dim tensor or None, is 1: by the protocol of torch's ``GradScaler``."""
    if bad is None:
        optimizer.step()
        return
    optimizer.found_inf = bad
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf
