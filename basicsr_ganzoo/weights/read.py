"""Read a checkpoint from a path or a URL without executing code in it."""

import os
import re
import warnings
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from basicsr.utils.download_util import load_file_from_url
from safetensors import SafetensorError
from safetensors.torch import load_file

from basicsr_ganzoo.errors import OptionError


def read_file(path):
    """Read a file of ``torch.save`` or safetensors: tensors, numbers, texts, and containers of them; on the CPU.

    Args:
        path: a file, or a URL (http, https, file), which is downloaded to torch's cache folder.

    Raises:
        OptionError: the file is missing or damaged, the download fails, or loading the file would execute code.
    """
    is_url = urlparse(str(path)).scheme in ('http', 'https', 'file')
    file = fetch(str(path)) if is_url else Path(os.path.expanduser(path))
    if not os.path.isfile(file):  # unlike Path's method it accepts names of any length
        raise OptionError(f'{path} is not a file; put it there, or correct the path')
    if file.suffix == '.safetensors':
        return _read_safetensors(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about pickles not written by torch.save
            return torch.load(file, map_location='cpu', weights_only=True)
    except (IsADirectoryError, PermissionError) as error:
        raise OptionError(f'{file} cannot be read: {error}') from error
    except Exception as error:  # arbitrary bytes can raise nearly anything
        raise OptionError(f'{file} {_what_is_wrong(file, str(error))}') from error


def fetch(url):
    """Download ``url`` unless torch's cache folder has a file of this name. Returns the path of the file.

    Raises:
        OptionError: the download fails; the message says where to put a copy by hand.
    """
    folder, name = Path(torch.hub.get_dir()) / 'checkpoints', Path(urlparse(url).path).name
    if not name:
        raise OptionError(f'{url} names no file')
    try:
        return Path(load_file_from_url(url, str(folder)))
    except (OSError, HTTPException) as error:
        reason = ' '.join(str(error).split())
        raise OptionError(f'cannot download {name} ({reason}); get it from {url} and put it into {folder}') from error


def _read_safetensors(file):
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise OptionError(f'{file} is not a complete safetensors file; download or copy it again: {error}') from error


def _what_is_wrong(file, message):
    with file.open('rb') as stream:
        start = stream.read(64)
    code = re.search(r'(?:GLOBAL|Unsupported class) ([\w.]+)', message)
    if code:
        return f'would execute {code[1]} when loaded, which weights do not need; have its author save a state_dict'
    if not start:
        return 'is empty'
    if 'TorchScript' in message:
        return 'is a TorchScript program, not weights; save its state_dict'
    if 'legacy .tar' in message:
        return 'has the format of PyTorch before 0.1.10; load and save it with a later version'
    if start.startswith(b'PK') or 'unexpected EOF' in message:
        return 'is damaged or incomplete; download or copy it again'
    if start.isascii() and not re.search(rb'[\x00-\x08]', start):
        return 'is text, perhaps a web page or a Git LFS pointer saved instead of the file; download the file itself'
    return 'was not written by torch.save'
