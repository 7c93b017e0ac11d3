"""Why weights do not fit a network: the architecture and arguments of both, inferred from names and shapes."""

import re
from math import isqrt

#: input channels of an RRDBNet's first convolution -> scale: a pixel-unshuffle by 4 / scale precedes it
RRDB_SCALES = {1: 4, 3: 4, 4: 2, 12: 2, 16: 1, 48: 1}


def explain(ours, theirs, label):
    """The likely cause why weights do not fit a network, as a clause for a message.

    Args:
        ours: shapes in the network's state dict, by name.
        theirs: shapes in the file, by name.
        label: name of the network in the message.
    """
    network, file = family(ours), family(theirs)
    if file and file != network:
        return f'it holds the {_role(file)}, and {label} is {f"the {_role(network)}" if network else "another network"}'
    differences = _differences(arguments(network, ours), arguments(network, theirs), label) if file else []
    return ', '.join(differences) or _first_misfit(ours, theirs, label)


def family(shapes):
    """The name of the architecture with these parameter names, or None."""
    layers = _layers(shapes)
    return next((name for name, (_, signature, _) in FAMILIES.items() if set(signature) <= layers.keys()), None)


def arguments(name, shapes):
    """The constructor arguments of an architecture of :data:`FAMILIES` that its weights determine."""
    spectral = any(key.endswith('weight_orig') for key in shapes)
    batch = any(key.endswith('running_mean') for key in shapes)
    norms = {'spectral norm': 'on' if spectral else 'off', 'batch norm': 'on' if batch else 'off'}
    return FAMILIES[name][2](_layers(shapes)) | norms


def _role(name):
    return f'{"generator" if FAMILIES[name][0] else "discriminator"} {name}'


def _differences(ours, theirs, label):
    differing = [key for key in ours if ours[key] != theirs.get(key)]
    return [f'{key} is {theirs.get(key)} in the file and {ours[key]} in {label}' for key in differing]


def _first_misfit(ours, theirs, label):
    for name, shape in ours.items():
        if name not in theirs:
            return f'{name} of {label} is not in the file'
        if shape != theirs[name]:
            return f'{name} has the shape {_size(theirs[name])} in the file and {_size(shape)} in {label}'
    return f'{next(name for name in theirs if name not in ours)} of the file is not in {label}'


def _size(shape):
    return 'x'.join(map(str, shape)) or 'of a scalar'


def _layers(shapes):
    """The shapes of the weights by layer name, with or without spectral norm."""
    pattern = re.compile(r'(.+)\.weight(_orig)?$')
    matches = {name: pattern.match(name) for name in shapes}
    return {match[1]: shapes[name] for name, match in matches.items() if match and len(shapes[name]) > 1}


def _count(layers, pattern):
    """The number of distinct values of the group of ``pattern`` over all layers."""
    return len({match[1] for match in (re.match(pattern, name) for name in layers) if match})


def _rrdbnet(layers):
    num_feat, channels = layers['conv_first'][:2]
    return {
        'scale': f'{RRDB_SCALES.get(channels, "unknown")} (conv_first takes {channels} channels)',
        'num_block': _count(layers, r'body\.(\d+)\.'),
        'num_feat': num_feat,
        'num_grow_ch': layers['body.0.rdb1.conv1'][0],
    }


def _msrresnet(layers):
    num_feat, channels = layers['conv_first'][:2]
    upscale = 4 if 'upconv2' in layers else isqrt(layers['upconv1'][0] // num_feat)
    num_block = _count(layers, r'body\.(\d+)\.')
    return {'upscale': upscale, 'num_block': num_block, 'num_feat': num_feat, 'num_in_ch': channels}


def _srvggnet(layers):
    num_feat, channels = layers['body.0'][:2]
    last = max(layers, key=lambda name: (len(name), name))
    upscale = isqrt(layers[last][0] // channels)
    return {'upscale': upscale, 'num_conv': len(layers) - 2, 'num_feat': num_feat, 'num_in_ch': channels}


def _starts_at(first):
    def first_layer(layers):
        return {'num_feat': layers[first][0], 'num_in_ch': layers[first][1]} if first in layers else {}

    return first_layer


def _vgg(layers):
    return _starts_at('conv0_0')(layers) | {'input_size': 4 * 2 ** _count(layers, r'conv(\d)_0')}


def _patchgan(layers):
    return _starts_at('model.child0.0')(layers) | {'num_layers': _count(layers, r'model\.child(\d)\.') - 2}


#: name -> (whether it is a generator, layers that no entry before it has, function from layers to arguments)
FAMILIES = {
    'RRDBNet': (True, ('conv_first', 'body.0.rdb1.conv1'), _rrdbnet),
    'EDSR': (True, ('conv_first', 'body.0.conv1', 'conv_after_body'), _starts_at('conv_first')),
    'MSRResNet': (True, ('conv_first', 'body.0.conv1', 'upconv1'), _msrresnet),
    'SRVGGNetCompact': (True, ('body.0', 'body.2'), _srvggnet),
    'HAT': (True, ('layers.0.residual_group.overlap_attn.qkv',), _starts_at('conv_first')),
    'SwinIR': (True, ('layers.0.residual_group.blocks.0.attn.qkv',), _starts_at('conv_first')),
    'AttentionUNetDiscriminator': (False, ('gating', 'conv9'), _starts_at('conv0')),
    'MultiScaleAttentionUNetDiscriminator': (False, ('layer0.gating',), _starts_at('layer0.conv0')),
    'UNetSNDiscriminator': (False, ('conv0', 'conv7', 'conv9'), _starts_at('conv0')),
    'VGGDiscriminator': (False, ('conv0_0', 'conv1_1', 'linear1'), _vgg),
    'PatchGANDiscriminator': (False, ('model.child0.0', 'model.child1.0'), _patchgan),
    'MultiScalePatchGANDiscriminator': (False, ('scales.0.model.child0.0',), _starts_at('scales.0.model.child0.0')),
    'PixelGANDiscriminator': (False, ('first.0', 'middle.0', 'last'), _starts_at('first.0')),
    'SRGANDiscriminator': (False, ('conv_first', 'blocks.0.0', 'linear2'), _starts_at('conv_first')),
    'ResNetDiscriminator': (False, ('blocks.0.conv1', 'blocks.0.shortcut', 'linear'), _starts_at('blocks.0.conv1')),
}
