"""What ``import basicsr_ganzoo`` puts into BasicSR's registries, alone and beside other plugins."""

import json

import pytest
from basicsr.utils.registry import Registry

from basicsr_ganzoo.registry import KINDS, entries, register, registry_of

#: the registered names are public API: an option file may say any of them
PUBLIC = {
    'archs': {
        'VGGDiscriminator',
        'SRGANDiscriminator',
        'ResNetDiscriminator',
        'PatchGANDiscriminator',
        'PixelGANDiscriminator',
        'MultiScalePatchGANDiscriminator',
        'UNetSNDiscriminator',
        'AttentionUNetDiscriminator',
        'MultiScaleAttentionUNetDiscriminator',
    },
    'losses': {
        'VanillaGANLoss',
        'LSGANLoss',
        'WGANLoss',
        'SoftplusGANLoss',
        'HingeGANLoss',
        'RaGANLoss',
        'RpGANLoss',
        'GANZooLoss',
        'FeatureMatchingLoss',
        'LRConsistencyLoss',
    },
    'regularizers': {
        'R1Regularizer',
        'R2Regularizer',
        'ApproximateR1Regularizer',
        'GradientPenalty',
        'DRAGANPenalty',
        'LeCamRegularizer',
        'CutMixConsistency',
    },
    'views': {'HighPassView', 'GradientView', 'WaveletView', 'ScaleView', 'DiffAugmentView'},
    'gan_weights': {'GANWeightRamp', 'GANWeightTargetRho'},
    'models': {'GANZooModel', 'RealESRGANZooModel', 'RealESRNetZooModel'},
    'metrics': {'calculate_lpips', 'calculate_dists'},
}
#: names that other plugins of BasicSR register
REALESRGAN = {
    'arch': {'UNetDiscriminatorSN', 'SRVGGNetCompact'},
    'model': {'RealESRGANModel', 'RealESRNetModel'},
    'dataset': {'RealESRGANDataset', 'RealESRGANPairedDataset'},
}
OTHER_PLUGINS = set().union(*REALESRGAN.values()) | {
    *('multiscale', 'add_attn', 'unetCat', 'UNetDiscriminatorAesrgan', 'AESRGANModel', 'AESRNetModel'),
    *('HAT', 'HATModel', 'RealHATGANModel', 'RealHATMSEModel', 'ImageNetPairedDataset', 'SRVGGNet'),
}
REPORT = """
import json
from basicsr.utils import registry
print(json.dumps({
    kind: {name: entry.__module__ for name, entry in getattr(registry, kind.upper() + '_REGISTRY')}
    for kind in ('arch', 'loss', 'model', 'dataset', 'metric')
}))
"""


def registered(done):
    """What the process of ``REPORT`` registered: kind of BasicSR -> {name: module}."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def fresh(fresh_python):
    return registered(fresh_python(f'import basicsr_ganzoo\n{REPORT}'))


def names_of(registries, kind, prefix='basicsr_ganzoo.'):
    """The names of one of BasicSR's registries that come from modules with this prefix."""
    return {name for name, module in registries[kind].items() if module.startswith(prefix)}


def names_of_kind(registries, kind):
    """The names of one of our sub-packages."""
    return names_of(registries, KINDS[kind].removesuffix('_REGISTRY').lower(), f'basicsr_ganzoo.{kind}.')


def ours_and_theirs(registries):
    ours = set().union(*(names_of(registries, kind) for kind in registries))
    return ours, set().union(*registries.values()) - ours


# ------------------------------------------------------------------ in a fresh process


@pytest.mark.slow
@pytest.mark.parametrize('kind', PUBLIC)
def test_no_public_name_disappears(fresh, kind):
    assert PUBLIC[kind] <= names_of_kind(fresh, kind)


@pytest.mark.slow
@pytest.mark.parametrize('kind', PUBLIC)
def test_every_registered_name_is_a_public_one(fresh, kind):
    assert names_of_kind(fresh, kind) == PUBLIC[kind]


@pytest.mark.slow
def test_no_registered_name_is_one_of_basicsr_or_the_stem_of_one(fresh):
    ours, theirs = ours_and_theirs(fresh)
    stems = {name.removesuffix('_basicsr') for name in theirs}
    assert {'GANLoss', 'UNetDiscriminatorSN', 'RealESRGANModel'} <= stems
    assert len(ours) >= 18
    assert not ours & (theirs | stems)


@pytest.mark.slow
def test_no_registered_name_is_one_of_another_plugin(fresh):
    ours, _ = ours_and_theirs(fresh)
    assert not {name.lower() for name in ours} & {name.lower() for name in OTHER_PLUGINS}


@pytest.mark.slow
def test_second_import_and_reload_of_every_module_replace_the_entries(fresh_python, fresh):
    code = f"""
import importlib, sys
import basicsr_ganzoo
import basicsr_ganzoo
from basicsr_ganzoo import registry
from basicsr.utils.registry import ARCH_REGISTRY
old = ARCH_REGISTRY.get('VGGDiscriminator')
modules = [sys.modules[entry.__module__] for kind in registry.KINDS for entry in registry.entries(kind).values()]
assert len(set(modules)) >= 7
for module in dict.fromkeys(modules):
    importlib.reload(module)
importlib.reload(basicsr_ganzoo)
registry.import_submodules()
new = ARCH_REGISTRY.get('VGGDiscriminator')
assert new is not old and new is sys.modules[new.__module__].VGGDiscriminator
{REPORT}
"""
    assert registered(fresh_python(code)) == fresh


@pytest.mark.slow
def test_foreign_class_of_our_name_gives_an_error_that_names_both(fresh_python):
    code = """
import sys
sys.argv = ['ganzoo']
import basicsr_ganzoo
from basicsr.utils.registry import ARCH_REGISTRY
from basicsr_ganzoo import registry
foreign = type('PatchGANDiscriminator', (), {'__module__': 'another_plugin.archs'})
ARCH_REGISTRY.register(foreign)
try:
    registry.import_submodules()
except KeyError as error:
    print(error)
print(ARCH_REGISTRY.get('PatchGANDiscriminator') is foreign)
"""
    done = fresh_python(code)
    *_, message, kept = done.stdout.splitlines()
    for word in ('PatchGANDiscriminator', 'basicsr_ganzoo.archs.patchgan_arch', 'another_plugin.archs'):
        assert word in message
    assert kept == 'True'


# ------------------------------------------------------------------ together with realesrgan


def assert_both_are_there(registries, fresh):
    for kind, names in fresh.items():
        assert names.items() <= registries[kind].items()
    for kind, names in REALESRGAN.items():
        assert names <= names_of(registries, kind, 'realesrgan.')


@pytest.mark.slow
@pytest.mark.usefixtures('realesrgan')
def test_realesrgan_can_be_imported_after_us(fresh_python, fresh):
    assert_both_are_there(registered(fresh_python(f'import basicsr_ganzoo\nimport realesrgan\n{REPORT}')), fresh)


@pytest.mark.slow
@pytest.mark.usefixtures('realesrgan')
def test_realesrgan_can_be_imported_before_us_where_torchvision_has_the_module_it_needs(fresh_python, fresh):
    code = f"""
import sys, types
from torchvision.transforms import functional
old = types.ModuleType('torchvision.transforms.functional_tensor')
old.rgb_to_grayscale = lambda image, num_output_channels=1: functional.rgb_to_grayscale(image, num_output_channels)
sys.modules[old.__name__] = old
import realesrgan
import basicsr_ganzoo
assert sys.modules[old.__name__] is old
{REPORT}
"""
    assert_both_are_there(registered(fresh_python(code)), fresh)


# ------------------------------------------------------------------ register and entries


def make(name, module):
    return type(name, (), {'__module__': module})


def test_class_of_the_same_module_replaces_its_former_self():
    registry = Registry('test')
    old, new = make('Thing', 'a.b'), make('Thing', 'a.b')
    assert register(registry)(old) is old
    assert register(registry)(new) is new
    assert dict(iter(registry)) == {'Thing': new}


def test_class_of_another_module_is_refused_and_leaves_the_registry_as_it_was():
    registry = Registry('test')
    old = register(registry)(make('Thing', 'first.plugin'))
    with pytest.raises(KeyError, match=r'Thing of second\.plugin.*first\.plugin has taken this name'):
        register(registry)(make('Thing', 'second.plugin'))
    assert dict(iter(registry)) == {'Thing': old}


@pytest.mark.parametrize('kind', KINDS)
def test_entries_are_sorted_and_all_from_the_sub_package_of_their_kind(kind):
    found = entries(kind)
    assert list(found) == sorted(found)
    for name, entry in found.items():
        assert entry.__name__ == name
        assert entry.__module__.startswith(f'basicsr_ganzoo.{kind}.')
        assert registry_of(kind).get(name) is entry
        assert entry.__doc__
