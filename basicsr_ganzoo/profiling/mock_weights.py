"""What lets models be built anywhere: perceptual networks without their weights, and BasicSR's models without CUDA."""

import contextlib
from types import SimpleNamespace
from unittest import mock

import torch
from torch import nn
from torchvision.models import vgg

from basicsr_ganzoo.weights.vgg import is_here


def vgg_is_random(opt):
    """Whether the perceptual network of an option file gets random weights, because the file of VGG19 is not there."""
    block = opt['train'].get('perceptual_opt')
    return bool(block) and not (block.get('vgg_type', 'vgg19') == 'vgg19' and is_here())


def _random_features(make):
    """The convolutions of a VGG with random weights, always the same; its large linear layers are left out."""

    def build(pretrained=False):
        with torch.device('meta'):
            features = make(weights=None).features
        features = features.to_empty(device='cpu')
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for module in features:
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
                    nn.init.zeros_(module.bias)
                elif isinstance(module, nn.BatchNorm2d):
                    module.reset_parameters()
        return SimpleNamespace(features=features)

    return build


@contextlib.contextmanager
def random_vgg(opt):
    """Build perceptual networks with random weights inside ``with``, where they would have to be fetched."""
    if not vgg_is_random(opt):
        yield
        return
    name = opt['train']['perceptual_opt'].get('vgg_type', 'vgg19')
    with mock.patch.object(vgg, name, _random_features(getattr(vgg, name))):
        yield


@contextlib.contextmanager
def cuda_is_the_device(device):
    """Let BasicSR's models, which call ``.cuda()``, be built on another device."""
    if device.type == 'cuda':
        yield
        return
    with mock.patch.object(nn.Module, 'cuda', lambda module, *args: module):
        yield
