"""Finding the weights in what a file holds, whatever its author wrapped around them."""

import torch

from basicsr_ganzoo.errors import OptionError

#: where weights lie in files of BasicSR and Real-ESRGAN (the averaged ones first), of Lightning, of others
KEYS = ('params_ema', 'params', 'state_dict', 'model_state_dict', 'model')


def find_weights(content, param_key='auto'):
    """Find the mapping of names to tensors in ``content``.

    Args:
        content: what the file holds.
        param_key: the key to look under first, or several in order; ``auto`` and None look as :data:`KEYS` lists them.

    Returns:
        The key (``a.b`` for b inside a, empty for the file itself), and the weights, without what is no tensor.

    Raises:
        OptionError: there are none; the message, which begins with a verb, says what is there instead.
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
        return f'has weights under {", ".join(with_tensors)}; name one of them as param_key'
    return 'holds no weights'
