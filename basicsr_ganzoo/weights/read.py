"""Reading a file of weights, from a path or a URL, without running anything that is in it."""

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
    """Read what ``torch.save`` or safetensors wrote: tensors, numbers, texts, and containers of them; on the CPU.

    Args:
        path: a file, or a URL (http, https, file), which torch's cache folder keeps under the name at its end.

    Raises:
        OptionError: no such file, no download, a damaged file, or one that wants to run code when it is loaded.
    """
    file = (
        fetch(str(path)) if urlparse(str(path)).scheme in ('http', 'https', 'file') else Path(os.path.expanduser(path))
    )
    if not os.path.isfile(file):  # which, unlike Path's method, takes names of any length
        raise OptionError(f'{path} is no file; put it there, or correct the path')
    if file.suffix == '.safetensors':
        return _read_safetensors(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of pickles by others than torch.save
            return torch.load(file, map_location='cpu', weights_only=True)
    except (IsADirectoryError, PermissionError) as error:
        raise OptionError(f'{file} cannot be read: {error}') from error
    except Exception as error:  # bytes that are no checkpoint can raise nearly anything
        raise OptionError(f'{file} {_what_is_wrong(file, str(error))}') from error


def fetch(url):
    """Download ``url`` unless torch's cache folder has a file of its name. Returns the path of the file.

    Raises:
        OptionError: the download fails; the message says where a copy that was fetched by hand belongs.
    """
    folder, name = Path(torch.hub.get_dir()) / 'checkpoints', Path(urlparse(url).path).name
    if not name:
        raise OptionError(f'{url} names no file')
    try:
        return Path(load_file_from_url(url, str(folder)))
    except (OSError, HTTPException) as error:
        reason = ' '.join(str(error).split())
        raise OptionError(f'cannot download {name} ({reason}); fetch it from {url} and put it into {folder}') from error


def _read_safetensors(file):
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise OptionError(f'{file} is no whole file of safetensors; fetch or copy it again: {error}') from error


def _what_is_wrong(file, message):
    with file.open('rb') as stream:
        start = stream.read(64)
    wanted = re.search(r'(?:GLOBAL|Unsupported class) ([\w.]+)', message)
    if wanted:
        return f'wants to run {wanted[1]} when it is loaded, which weights need not; have its author save a state_dict'
    if not start:
        return 'is empty'
    if 'TorchScript' in message:
        return 'is a TorchScript program, not weights; save its state_dict'
    if 'legacy .tar' in message:
        return 'has the format of PyTorch before 0.1.10; load and save it with a later one'
    if start.startswith(b'PK') or 'unexpected EOF' in message:
        return 'is damaged or only a part of a file; fetch or copy it again'
    if start.isascii() and not re.search(rb'[\x00-\x08]', start):
        return 'is text, perhaps a web page or a Git LFS pointer saved in the place of the file; fetch the file itself'
    return 'was not written by torch.save'
