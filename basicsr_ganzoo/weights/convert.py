"""Conversion of state dicts from other code bases to the names of our networks, where the networks are equal.

A conversion is a function ``(weights, net) -> weights or None``; None means that it does not apply to these names.
Error messages begin with a verb, whose subject is the file.
"""

import re

import torch
from torch import nn

from basicsr_ganzoo.archs.patchgan_arch import PatchGANDiscriminator
from basicsr_ganzoo.errors import OptionError

#: RRDBNet in ESRGAN's repository since 2019 and in KAIR's BSRGAN, as in BasicSR's script convert_models.py
OLD_ESRGAN = {
    r'RRDB_trunk\.(\d+)\.RDB(\d)\.': r'body.\1.rdb\2.',
    r'trunk_conv\.': 'conv_body.',
    r'upconv(\d)\.': r'conv_up\1.',
    r'HRconv\.': 'conv_hr.',
}
#: RRDBNet of scale 4 in ESRGAN's release of 2018, whose names most community models use
OLDEST_ESRGAN = {
    r'model\.0\.': 'conv_first.',
    r'model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.': r'body.\1.rdb\2.\3.',
    r'model\.1\.sub\.\d+\.(weight|bias)$': r'conv_body.\1',
    r'model\.3\.': 'conv_up1.',
    r'model\.6\.': 'conv_up2.',
    r'model\.8\.': 'conv_hr.',
    r'model\.10\.': 'conv_last.',
}
#: ``torch.nn.utils.parametrizations.spectral_norm`` -> ``torch.nn.utils.spectral_norm``
SPECTRAL_NORM = {
    r'(.*)parametrizations\.weight\.original$': r'\1weight_orig',
    r'(.*)parametrizations\.weight\.0\.(_[uv])$': r'\1weight\2',
}
NORMS = {nn.BatchNorm2d: 'batch', nn.InstanceNorm2d: 'instance'}


def convert(weights, net):
    """Rename ``weights`` to the names of ``net``, if a conversion is known.

    Raises:
        OptionError: the names belong to a network that computes something else than ours.
    """
    names = net.state_dict().keys()
    if not weights.keys() <= names:
        weights = _hook_spectral_norm(_without_prefix(weights, names), names)
        _refuse_kair_vgg(weights)
        for conversion in (_old_esrgan, _oldest_esrgan, _kair_vgg_sn, _pix2pix):
            weights = conversion(weights, net) or weights
    return _with_batch_counters(weights, names)


def _without_prefix(weights, names):
    """Remove the prefixes of ``DataParallel`` and ``torch.compile``."""
    bare = {name: name if name in names else re.sub(r'^((module|_orig_mod)\.)+', '', name) for name in weights}
    return {bare[name]: tensor for name, tensor in weights.items()}


def _renamed(weights, patterns):
    for pattern, new in patterns.items():
        weights = {re.sub(f'^{pattern}', new, name): tensor for name, tensor in weights.items()}
    return weights


def _hook_spectral_norm(weights, names):
    """Rename parametrized spectral norm to the hook-based one, equal in eval mode, if the network uses the latter."""
    if not any(name.endswith('weight_orig') for name in names):
        return weights
    return _renamed(weights, SPECTRAL_NORM)


def _old_esrgan(weights, net):
    return _renamed(weights, OLD_ESRGAN) if 'RRDB_trunk.0.RDB1.conv1.weight' in weights else None


def _oldest_esrgan(weights, net):
    if 'model.1.sub.0.RDB1.conv1.0.weight' not in weights:
        return None
    if 'model.10.weight' not in weights:
        raise OptionError('is an ESRGAN of 2018 with a scale other than 4, which RRDBNet does not support')
    return _renamed(weights, OLDEST_ESRGAN)


def _refuse_kair_vgg(weights):
    """KAIR's VGG_96, _128 and _192 (network_discriminator.py, basicblock.py): no activation after convolution 0."""
    if {'features.2.running_mean', 'classifier.0.weight'} <= weights.keys():
        raise OptionError(
            'is a VGG discriminator of KAIR, which has no activation after its first convolution and batch norms with '
            'eps 1e-4, so VGGDiscriminator cannot equal it; start the discriminator without a file'
        )


def _kair_vgg_sn(weights, net):
    """KAIR's VGG_128_SN (network_discriminator.py). Like ours, it has no activation only after the last layer."""
    if 'linear0.weight_orig' not in weights or 'conv9.weight_orig' not in weights:
        return None
    layers = {f'conv{i}': f'conv{i // 2}_{i % 2}' for i in range(10)} | {'linear0': 'linear1', 'linear1': 'linear2'}
    parts = {name: name.partition('.') for name in weights}
    return {layers.get(layer, layer) + dot + rest: weights[name] for name, (layer, dot, rest) in parts.items()}


def _pix2pix(weights, net):
    """pix2pix's ``NLayerDiscriminator`` (networks.py): convolutions at model.0, 2, 5, 8, ..., norms after them."""
    layers = {name: re.match(r'model\.(\d+)\.(\w+)$', name) for name in weights}
    if not all(layers.values()) or not isinstance(net, PatchGANDiscriminator):
        return None
    norm, ours = _pix2pix_norm(weights), NORMS.get(type(net.model.child1[1]), 'none')
    if norm != ours or net.model.child0[0].padding != (1, 1):
        raise OptionError(f'is a PatchGAN of pix2pix; the network needs padding: 1 and norm: {norm} to equal it')
    converted = {_patchgan_name(int(match[1]), match[2]): weights[name] for name, match in layers.items()}
    # pix2pix omits the biases that a batch norm removes; a zero bias is equal.
    middle = list(net.model.named_children())[1:-1]
    return {f'model.{name}.0.bias': torch.zeros_like(block[0].bias) for name, block in middle} | converted


def _pix2pix_norm(weights):
    if 'model.3.weight' in weights:
        return 'batch'
    return 'instance' if 'model.2.bias' in weights else 'none'


def _patchgan_name(index, rest):
    is_norm = index % 3 == 0 and index > 0
    return f'model.child{(index + 1) // 3}.{int(is_norm)}.{rest}'


def _with_batch_counters(weights, names):
    """Add ``num_batches_tracked``, which PyTorch before 0.4.1 did not save. Our networks do not use its value."""
    counters = [name for name in names if name.endswith('.num_batches_tracked') and name not in weights]
    added = [name for name in counters if name.replace('num_batches_tracked', 'running_mean') in weights]
    return {**weights, **{name: torch.tensor(0) for name in added}}
