"""The VGG19 weights of BasicSR's perceptual loss: file, URL, and whether they are present."""

from pathlib import Path

FILE = 'vgg19-dcbb9e9d.pth'
URL = f'https://download.pytorch.org/models/{FILE}'
PLACE = Path('experiments/pretrained_models') / FILE  # relative to the current directory; BasicSR looks here first
SIZE = '548 MB'


def is_here():
    """Whether the weights are where BasicSR or torchvision look for them, so that nothing is downloaded."""
    import torch

    return PLACE.is_file() or (Path(torch.hub.get_dir()) / 'checkpoints' / FILE).is_file()
