"""``ganzoo check`` on adversaries: their form, their views and regularizers, and what does not go together."""

import pytest
import torch
from _training import write_option_file
from test_check import check, found

from basicsr_ganzoo.registry import entries

D = {'type': 'PatchGANDiscriminator', 'num_feat': 4, 'num_layers': 2}
ADAM = {'type': 'Adam', 'lr': 0.0001, 'betas': [0, 0.99]}
ONE = dict.fromkeys(('network_d', 'train__gan_opt', 'train__optim_d'))


def patch(**changes):
    """One block of adversaries; None removes a key."""
    block = {'network_d': D, 'gan_opt': {'type': 'HingeGANLoss'}, 'optim_d': ADAM, **changes}
    return {key: value for key, value in block.items() if value is not None}


def several(**changes):
    """The changes that give a file two adversaries, of which the second has ``changes``."""
    return {**ONE, 'adversaries': {'first': patch(), 'second': patch(**changes)}}


def regularized(name, **options):
    return {'train__d_reg_opt': {'it': {'type': name, **options}}}


MISTAKES = {
    'misspelt key of an adversary': (
        several(d_reg_op={}),
        'adversaries.second.d_reg_op: nobody reads this key (did you mean d_reg_opt?)',
    ),
    'both forms': ({'adversaries': {'first': patch()}}, 'adversaries: network_d is there beside adversaries'),
    'a name that is none': ({**ONE, 'adversaries': {'a b': patch()}}, 'adversaries.a b: a name has to be of letters'),
    'no optimizer': (several(optim_d=None), 'adversaries.second.optim_d: this key is missing'),
    'no loss': (several(gan_opt=None), 'adversaries.second.gan_opt: this key is missing'),
    'misspelt loss': (several(gan_opt={'type': 'HingeGANLos'}), 'adversaries.second.gan_opt: nothing is registered as'),
    'misspelt argument of D': (several(network_d={**D, 'num_layer': 2}), 'adversaries.second.network_d.num_layer: '),
    'missing file of D': (several(pretrain_network_d='no.pth'), 'adversaries.second.pretrain_network_d: '),
    'crop below the minimum': (several(network_d={**D, 'num_layers': 4}), 'needs H and W >= 48, got 32x32; that is gt'),
    'misspelt view': ({'train__views': [{'type': 'ScaleVew'}]}, 'train.views[0]: nothing is registered as'),
    'no view': ({'train__views': [{'type': 'VGGDiscriminator'}]}, 'train.views[0]: VGGDiscriminator is no view'),
    'a view that leaves too little': (
        {'train__views': [{'type': 'ScaleView', 'factor': 4}]},
        'network_d: UNetSNDiscriminator needs H and W >= 16, got 8x8; that is gt_size and what the views make of it',
    ),
    'channels of a view': (
        {'train__views': [{'type': 'GradientView', 'output': 'components'}]},
        'network_d: UNetSNDiscriminator needs an image of shape (N, 3, H, W), got (1, 6, 32, 32)',
    ),
    'grey D for colour pictures': ({'network_d__num_in_ch': 1}, 'network_d: UNetSNDiscriminator needs an image of'),
    'misspelt regularizer': (regularized('R1Regulariser'), 'train.d_reg_opt.it: nothing is registered as'),
    'no regularizer': (regularized('L1Loss'), 'train.d_reg_opt.it: L1Loss is no regularizer'),
    'interval 0': (
        regularized('R1Regularizer', interval=0),
        'train.d_reg_opt.it.interval: this needs to be a whole',
    ),
    'CutMix of a classifier': (
        {**regularized('CutMixConsistency'), 'network_d': {'type': 'ResNetDiscriminator', 'num_feat': 4}},
        'train.d_reg_opt.it: CutMixConsistency needs a map of logits',
    ),
    'a further loss that is none': ({'train__colour_opt': {'type': 'ColourLoss'}}, 'train.colour_opt: nothing is'),
    'a regularizer that is called as a part of the log': (
        {'train__d_reg_opt': {'real': {'type': 'R1Regularizer'}}},
        'train.d_reg_opt.real: the name real is taken',
    ),
    'a regularizer that is called as an attribute of a module': (
        {'train__d_reg_opt': {'training': {'type': 'R1Regularizer'}}},
        'train.d_reg_opt.training: the name training is taken',
    ),
    'everything frozen': ({'train__net_d_freeze': 10}, 'train.net_d_freeze: UNetSNDiscriminator has 10 layers, so at'),
    'a window larger than lq': (
        {'train__lr_consistency_opt': {'type': 'LRConsistencyLoss', 'window': 9}},
        'train.lr_consistency_opt.window: 9 pixels do not fit into lq of 8x8',
    ),
    'a regularizer of a model of BasicSR': (
        {**regularized('R1Regularizer'), 'model_type': 'SRGANModel', 'train__gan_opt': {'type': 'VanillaGANLoss'}},
        'train.d_reg_opt: SRGANModel does not read this key; use model_type: GANZooModel',
    ),
    'target rho without content': (
        {'train__pixel_opt': None, 'train__gan_weight_opt': {'type': 'GANWeightTargetRho'}},
        'train.gan_weight_opt: rho compares with the content losses, and there are none',
    ),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_about_adversaries_is_found_alone(mistake, tmp_path, monkeypatch, capsys):
    changes, expected = MISTAKES[mistake]
    path = write_option_file(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    code, findings = check(capsys, path)
    assert code == 1
    (message,) = found(findings)
    assert expected in message


WARNINGS = {
    'a critic without bound': (
        {'train__gan_opt': {'type': 'WGANLoss'}, 'network_d': {**D, 'norm': 'batch'}},
        'train.gan_opt: nothing bounds this critic',
    ),
    'LeCam with pairs': (
        {**regularized('LeCamRegularizer'), 'train__gan_opt': {'type': 'RpGANLoss'}},
        'train.d_reg_opt: LeCamRegularizer anchors the level',
    ),
    'a ramp while D is alone': (
        {'train__net_d_init_iters': 2, 'train__gan_weight_opt': {'type': 'GANWeightRamp'}},
        'train.gan_weight_opt: the ramp begins while D learns alone (net_d_init_iters: 2)',
    ),
    'a ramp longer than the training': (
        {'train__gan_weight_opt': {'type': 'GANWeightRamp', 'begin': 2, 'iters': 3}},
        'train.gan_weight_opt: the ramp ends at iteration 5, after total_iter 4',
    ),
    'a regularizer without D': (
        {**ONE, **regularized('R1Regularizer')},
        'train.d_reg_opt: there is no discriminator, so that this has no effect',
    ),
    'a further loss without weight': (
        {'train__lr_consistency_opt': {'type': 'LRConsistencyLoss', 'loss_weight': 0}},
        'train.lr_consistency_opt.loss_weight: with a weight of 0 this loss has no effect',
    ),
    'a view of nothing': (
        several(views=[{'type': 'HighPassView', 'gain': 0}]),
        'adversaries.second.views[0].gain: with a gain of 0 the discriminator sees nothing of the images',
    ),
    'a regularizer without weight': (
        regularized('R1Regularizer', loss_weight=0),
        'train.d_reg_opt.it.loss_weight: with a weight of 0 this regularizer has no effect',
    ),
    'a regularizer that is never due': (
        several(d_reg_opt={'r1': {'type': 'R1Regularizer', 'interval': 5}}),
        'adversaries.second.d_reg_opt.r1.interval: this regularizer is due for the first time in iteration 5, after',
    ),
    'LeCam that never begins': (
        {**regularized('LeCamRegularizer'), 'train__gan_opt': {'type': 'HingeGANLoss'}},
        'train.d_reg_opt.it.start: this regularizer begins in iteration 1000, after total_iter 4; give a smaller',
    ),
}


@pytest.mark.parametrize('changes', [{'interval': 4}, {'interval': 1}])
def test_a_regularizer_that_is_due_in_the_last_iteration_is_no_warning(changes, tmp_path, capsys):
    path = write_option_file(tmp_path, **regularized('R1Regularizer', **changes))
    assert not any('d_reg_opt' in message for message in found(check(capsys, path)[1], 'warning'))


@pytest.mark.parametrize('name', WARNINGS)
def test_what_hardly_goes_together_is_a_warning(name, tmp_path, capsys):
    changes, expected = WARNINGS[name]
    code, findings = check(capsys, write_option_file(tmp_path, **changes))
    assert code == 0, found(findings)
    assert any(message.startswith(expected) for message in found(findings, 'warning'))


def test_a_huge_crop_behind_a_view_takes_no_memory(tmp_path, capsys):
    changes = {'train__views': [{'type': 'ScaleView'}], 'datasets__train__gt_size': 10**6}
    code, findings = check(capsys, write_option_file(tmp_path, **changes))
    assert code == 1
    assert found(findings) == [
        'datasets.train.gt_size: this needs to be a whole number from 1 to 16384, got 1000000',
    ]


BOUND = {
    'spectral norm': {'network_d': {**D, 'norm': 'spectral'}},
    'a penalty': {'network_d': {**D, 'norm': 'batch'}, **regularized('GradientPenalty')},
    'clipping': {'network_d': {**D, 'norm': 'batch'}, 'train__net_d_weight_clip': 0.01},
}


@pytest.mark.parametrize('name', BOUND)
def test_a_critic_with_a_bound_is_no_warning(name, tmp_path, capsys):
    path = write_option_file(tmp_path, train__gan_opt={'type': 'WGANLoss'}, **BOUND[name])
    assert not any('critic' in message for message in found(check(capsys, path)[1], 'warning'))


def test_everything_at_once_is_no_mistake(tmp_path, capsys):
    changes = several(
        views=[{'type': 'WaveletView'}, {'type': 'DiffAugmentView', 'fill': 0}],
        d_reg_opt={'r1': {'type': 'R1Regularizer'}, 'mix': {'type': 'CutMixConsistency'}},
        feature_matching_opt={'type': 'FeatureMatchingLoss'},
        gan_weight_opt={'type': 'GANWeightTargetRho'},
        net_d_freeze=1,
        net_d_ema_decay=0.99,
        grad_clip_d=1,
    )
    further = {'train__lr_consistency_opt': {'type': 'LRConsistencyLoss'}, 'train__edge_opt': {'type': 'MSELoss'}}
    path = write_option_file(tmp_path, **changes, **further, train__health_opt={'freq': 10})
    code, findings = check(capsys, path)
    assert code == 0, found(findings)


def test_a_checkpoint_of_one_of_several_adversaries_is_looked_at(tmp_path, capsys):
    net = entries('archs')['PatchGANDiscriminator'](num_feat=4, num_layers=3)
    torch.save({'params': net.state_dict()}, tmp_path / 'd.pth')
    path = write_option_file(tmp_path, **several(pretrain_network_d=str(tmp_path / 'd.pth')))
    (message,) = found(check(capsys, path)[1])
    assert message.startswith('adversaries.second.pretrain_network_d: ')
    assert 'num_layers is 3 in the file and 2' in message
