"""Export of a checkpoint's inference weights to a small file."""

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
    """The inference weights of a checkpoint: the EMA weights (``params_ema``) if there are any.

    Returns:
        Their key in the file, empty for the file itself, and the tensors by name, on the CPU.

    Raises:
        OptionError: the file is missing or damaged, or holds no weights.
    """
    content = read_file(path)
    try:
        key, weights = find_weights(content)
    except OptionError as error:
        raise OptionError(f'{path} {error}') from error
    bare = {re.sub(r'^((module|_orig_mod)\.)+', '', name): tensor for name, tensor in weights.items()}
    # A tensor that is a view would be saved with its whole storage.
    return key, {name: tensor.contiguous().clone() for name, tensor in bare.items()}


def write_slim(weights, key, out):
    """Write weights to ``out``: as .safetensors, or as .pth under ``key``, as BasicSR and Real-ESRGAN expect.

    Raises:
        OptionError: the file cannot be written.
    """
    with written_whole(out) as part:
        if out.suffix == '.safetensors':
            part.write_bytes(save(weights, metadata={'format': 'pt'}))  # save_file's are private
        else:
            torch.save({key: weights}, part)


@contextlib.contextmanager
def written_whole(out):
    """Context with a temporary path, which is moved to ``out`` on success; the folder is created.

    Raises:
        OptionError: the file cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as part:
            yield part
    except (OSError, SafetensorError) as error:
        raise OptionError(f'cannot write {out}: {" ".join(str(error).split())}') from error
