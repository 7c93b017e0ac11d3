"""The weights that a generator is used with, without the rest of the checkpoint."""

import contextlib
import re

import torch
from safetensors import SafetensorError
from safetensors.torch import save

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import whole_file
from basicsr_ganzoo.weights.find import find_weights
from basicsr_ganzoo.weights.read import read_file


def weights_in(path):
    """The weights of a checkpoint to use: the averaged ones (``params_ema``) if there are any.

    Returns:
        The key that they are under, empty for the file itself, and the tensors by name, on the CPU.

    Raises:
        OptionError: no such file, a damaged one, or one without weights.
    """
    content = read_file(path)
    try:
        key, weights = find_weights(content)
    except OptionError as error:
        raise OptionError(f'{path} {error}') from error
    bare = {re.sub(r'^((module|_orig_mod)\.)+', '', name): tensor for name, tensor in weights.items()}
    # Tensors that are views would take what they are views of into the file.
    return key, {name: tensor.contiguous().clone() for name, tensor in bare.items()}


def write_slim(weights, key, out):
    """Write weights to ``out``: by name as .safetensors, or under ``key`` as .pth, as BasicSR and Real-ESRGAN read it.

    Raises:
        OptionError: the file cannot be written.
    """
    with written_whole(out) as part:
        if out.suffix == '.safetensors':
            part.write_bytes(save(weights, metadata={'format': 'pt'}))  # save_file's are closed to all others
        else:
            torch.save({key: weights}, part)


@contextlib.contextmanager
def written_whole(out):
    """Give a path to write to, which becomes ``out``, in a folder that is made, when the block has ended well.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as part:
            yield part
    except (OSError, SafetensorError) as error:
        raise OptionError(f'cannot write {out}: {" ".join(str(error).split())}') from error
