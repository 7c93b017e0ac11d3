"""Lets models be built anywhere: perceptual networks without their weights, and BasicSR's models without CUDA."""

import contextlib
from types import SimpleNamespace
from unittest import mock

import torch
from torch import nn
from torchvision.models import vgg

from basicsr_ganzoo.weights.vgg import is_here

CONFIGURATIONS = {'vgg11': 'A', 'vgg13': 'B', 'vgg16': 'D', 'vgg19': 'E'}


def vgg_is_random(opt):
    """Whether an option file's perceptual network gets random weights, because its file is missing."""
    block = opt['train'].get('perceptual_opt')
    return bool(block) and not (block.get('vgg_type', 'vgg19') == 'vgg19' and is_here())


@contextlib.contextmanager
def random_vgg(opt):
    """Build perceptual networks with random weights inside ``with`` if their weights would be downloaded."""
    if not vgg_is_random(opt):
        yield
        return
    name = opt['train']['perceptual_opt'].get('vgg_type', 'vgg19')
    with mock.patch.object(vgg, name, side_effect=lambda pretrained: SimpleNamespace(features=_random_layers(name))):
        yield


def _random_layers(name):
    """The convolutional layers of a VGG with fixed random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = vgg.make_layers(vgg.cfgs[CONFIGURATIONS[name.removesuffix('_bn')]], name.endswith('_bn'))
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
                nn.init.zeros_(layer.bias)
    return layers


def without_cuda():
    """Let BasicSR's models, which call ``.cuda()``, be built on the CPU inside ``with``."""
    return mock.patch.object(nn.Module, 'cuda', lambda module, *args: module)
