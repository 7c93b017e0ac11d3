"""Search for the state dict in the content of a checkpoint, whatever its nesting."""

import torch

from basicsr_ganzoo.errors import OptionError

#: keys of weights in files of BasicSR and Real-ESRGAN (EMA first), of Lightning, of others
KEYS = ('params_ema', 'params', 'state_dict', 'model_state_dict', 'model')


def find_weights(content, param_key='auto'):
    """Find the mapping of names to tensors in ``content``.

    Args:
        content: the content of the file.
        param_key: the key to try first, or several in order; ``auto`` and None use the order of :data:`KEYS`.

    Returns:
        The key (``a.b`` for b inside a, empty for the file itself), and the tensors by name.

    Raises:
        OptionError: there are none; the message begins with a verb and says what the file holds instead.
    """
    asked = [param_key] if param_key is None or isinstance(param_key, str) else param_key
    order = dict.fromkeys([key for key in asked if key not in (None, 'auto')] + list(KEYS))
    found = _search(content, order)
    if not found:
        raise OptionError(_what_is_there(content))
    path, weights = found
    return '.'.join(path), {str(name): value for name, value in weights.items() if isinstance(value, torch.Tensor)}


def _search(content, order):
    if not isinstance(content, dict):
        return None
    for key in order:
        found = _search(content.get(key), order)
        if found:
            return (key, *found[0]), found[1]
    return ((), content) if any(isinstance(value, torch.Tensor) for value in content.values()) else None


def _what_is_there(content):
    if not isinstance(content, dict):
        return f'holds a {type(content).__name__}, not tensors by name'
    if {'optimizers', 'schedulers'} <= content.keys():
        return 'is a training state, not weights; it belongs to path.resume_state'
    with_tensors = [str(key) for key, value in content.items() if _search(value, KEYS)]
    if with_tensors:
        return f'has weights under {", ".join(with_tensors)}; set param_key to one of them'
    return 'holds no weights'
