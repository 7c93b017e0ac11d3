"""``ganzoo check``: everything wrong with an option file at once, and nothing written."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
import yaml
from _training import OPTIONS, write_option_file, write_pairs
from basicsr.archs.rrdbnet_arch import RRDBNet

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.registry import entries


def check(capsys, path, *flags):
    with pytest.raises(SystemExit) as stopped:
        main(['check', '-opt', str(path), '--json', *flags])
    captured = capsys.readouterr()
    return stopped.value.code or 0, json.loads(captured.out[captured.out.index('[') :])


def found(findings, level='error'):
    return [f'{finding["key"]}: {finding["message"]}' for finding in findings if finding['level'] == level]


def save(net, path):
    torch.save({'params': net.state_dict()}, path)
    return str(path)


def degrading(**changes):
    """Real-ESRGAN's model on pairs, which needs high_order_degradation: false."""
    return {'model_type': 'RealESRGANZooModel', 'gt_size': 64, 'degradation': 'real', **changes}


DISK = {'type': 'disk'}
RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_grow_ch': 4, 'num_block': 2}
D64 = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
#: the changes of a good file, and what the only error has to say
MISTAKES = {
    'a generator for grey pictures': (
        {'network_g__num_in_ch': 1},
        'network_g.num_in_ch: it is 1, but the images have 3',
    ),
    'a generator of grey pictures': (
        {'network_g': {**RRDB, 'num_out_ch': 1}, 'network_d__num_in_ch': 1},
        'network_g.num_out_ch: it is 1, but the images have 3 channels; make it 3',
    ),
    'misspelt key': ({'train__net_d_itres': 2}, 'train.net_d_itres: nobody reads this key (did you mean net_d_iters?)'),
    'misspelt model': ({'model_type': 'GANZoModel'}, 'did you mean GANZooModel'),
    'misspelt network': ({'network_d': {'type': 'UNetSNDiscriminatr'}}, 'did you mean UNetSNDiscriminator'),
    'misspelt argument': ({'network_d__num_feet': 4}, 'did you mean num_feat'),
    'wrong value': ({'network_d': {'type': 'PixelGANDiscriminator', 'norm': 'bach'}}, 'did you mean batch'),
    'misspelt loss': ({'train__gan_opt': {'type': 'HingeGANLos'}}, 'did you mean HingeGANLoss'),
    'labels without labels': (
        {'train__gan_opt': {'type': 'WGANLoss', 'real_label_val': 0.9}},
        'train.gan_opt.real_label_val: WGANLoss has no option real_label_val',
    ),
    'misspelt optimizer': ({'train__optim_g': {'type': 'Adm', 'lr': 0.1}}, 'did you mean Adam'),
    'misspelt optimizer argument': ({'train__optim_g': {'type': 'Adam', 'bets': [0, 1]}}, 'did you mean betas'),
    'misspelt scheduler': ({'train__scheduler': {'type': 'MultiStep'}}, 'did you mean MultiStepLR'),
    'scheduler without milestones': ({'train__scheduler': {'type': 'MultiStepLR'}}, 'needs the option milestones'),
    'misspelt metric': ({'val__metrics': {'psnr': {'type': 'calculate_pnsr'}}}, 'did you mean calculate_psnr'),
    'scale that a generator does not have': (
        {'network_g__upscale': 5},
        'MSRResNet cannot be built with ',
    ),
    'negative width': ({'network_g__num_feat': -1}, 'MSRResNet cannot be built with '),
    'misspelt dataset': ({'datasets__train__type': 'PairedImagDataset'}, 'did you mean PairedImageDataset'),
    'number as text': ({'train__optim_d__lr': '1e-4'}, "train.optim_d.lr: '1e-4' is text"),
    'missing folder': ({'datasets__train__dataroot_lq': 'nowhere'}, 'No such file or directory: nowhere'),
    'missing checkpoint': ({'path__pretrain_network_d': 'nowhere.pth'}, 'nowhere.pth'),
    'fewer pictures than a batch': ({'datasets__train__batch_size_per_gpu': 9}, 'dataset_enlarge_ratio to 3'),
    'pictures of another scale': ({'scale': 2, 'network_g__upscale': 2}, 'is not 2x multiplication'),
    'generator of another scale': ({'network_g__upscale': 2}, 'network_g: its scale is 2'),
    'crop that is no multiple': ({'datasets__train__gt_size': 34}, 'gt_size: 34 is no multiple of the scale 4'),
    'crop below the minimum': (
        {'network_d': {'type': 'PatchGANDiscriminator', 'num_layers': 4}},
        'PatchGANDiscriminator needs H and W >= 48, got 32x32; that is gt_size',
    ),
    'LDL without EMA': ({'train__ldl_opt': {'type': 'L1Loss'}, 'train__ema_decay': 0}, 'train.ldl_opt: it compares'),
    'no discriminator': ({'network_d': None}, 'network_d: train.gan_opt is there but this is not'),
    'no optimizer of D': ({'train__optim_d': None}, 'train.optim_d: the discriminator has no optimizer'),
    'D alone for ever': ({'train__net_d_init_iters': 4}, 'the generator would never train'),
    'forgotten high_order_degradation': (
        degrading(network_d=D64, datasets__train__gt_size=64),
        'high_order_degradation: pairs have no kernel1',
    ),
    'misspelt key of another dataset': (
        {'datasets__val': {'type': 'SingleImageDataset', 'dataroot_qq': 'x', 'dataroot_lq': 'x', 'io_backend': None}},
        'datasets.val.dataroot_qq: nobody reads this key (did you mean dataroot_lq?)',
    ),
    'misspelt argument of a metric': (
        {'val__metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 4, 'test_y_chanel': True}}},
        'val.metrics.psnr.test_y_chanel: calculate_psnr has no option test_y_chanel (did you mean test_y_channel?)',
    ),
    'a best of no metric': (
        {'val__keep_best': {'metric': 'lpips'}},
        "val.keep_best.metric: it needs to be one of val.metrics (psnr), got 'lpips'",
    ),
    'misspelt key of wandb': ({'logger__wandb': {'projct': None}}, 'did you mean project'),
    'two validation sets of one name': (
        {'datasets__val_2': {'name': 'set', 'type': 'SingleImageDataset', 'dataroot_lq': 'data/lq', 'io_backend': DISK}}
        | {'datasets__val__name': 'set', 'val__metrics': None},
        "datasets.val_2.name: 'set' is the name of datasets.val too; give it another",
    ),
    'dataset of another name': (
        {'datasets__test': {'type': 'X'}},
        'datasets.test: training reads train, val, val_2',
    ),
    'a word for a number': ({'train__total_iter': 'many'}, 'train.total_iter: this needs to be a whole number from 1'),
    'a word for an argument': (
        {'network_g__num_feat': 'wide'},
        "network_g.num_feat: this needs to be a number, got 'wi",
    ),
    'a number for a list': (
        {'train__scheduler': {'type': 'MultiStepLR', 'milestones': 5000}},
        'train.scheduler.milestones: this needs to be a list of numbers, got 5000',
    ),
    'one beta': (
        {'train__optim_g__betas': [0.9]},
        'train.optim_g: Adam needs betas to be a list of 2 numbers, got [0.9]',
    ),
    'three betas': ({'train__optim_d__betas': [0.9, 0.9, 0.9]}, 'train.optim_d: Adam needs betas to be a list of 2'),
    'wandb without TensorBoard': ({'logger__wandb': {'project': 'sr'}}, 'logger.wandb: BasicSR requires use_tb_logger'),
    'negative learning rate': ({'train__optim_g__lr': -1}, 'train.optim_g: Invalid learning rate: -1'),
    'too many parameters': (
        {'network_g__num_feat': 10**7},
        'network_g: this network has more than 10,000,000,000',
    ),
    'periods that end before training': (
        {'train__scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [2, 1], 'restart_weights': [1, 1]}},
        'train.scheduler.periods: they end at 3, and total_iter is 4',
    ),
    'no GAN loss': ({'train__gan_opt': {'type': 'L1Loss'}}, 'train.gan_opt: L1Loss is no GAN loss'),
    'wrong value of a loss': ({'train__pixel_opt': {'type': 'L1Loss', 'reduction': 'men'}}, 'train.pixel_opt: '),
    'layer that VGG has not': (
        {'train__perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': {'conv9_4': 1}}},
        'train.perceptual_opt.layer_weights.conv9_4: vgg19 needs layers to be one of conv1_1',
    ),
    'hinge in ESRGANModel': (
        {'model_type': 'ESRGANModel', 'train__gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge'}},
        'train.gan_opt.gan_type: hinge has no gradient for G in ESRGANModel',
    ),
    'pairing in SRGANModel': ({'model_type': 'SRGANModel'}, 'train.gan_opt: SRGANModel cannot pair logits'),
    'state that is not there': ({'path__resume_state': 'x.state'}, 'path.resume_state: x.state is no file'),
    'auto for a dataset of BasicSR': (
        {'datasets__train__dataset_enlarge_ratio': 'auto'},
        'datasets.train: PairedImageDataset needs a number as dataset_enlarge_ratio',
    ),
    'crop that a discriminator of BasicSR refuses': (
        {'network_d': {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4}},
        'network_d: it cannot take 32x32 pixels, which is gt_size (Input size must be identical',
    ),
    'key that is missing': ({'logger__print_freq': None}, 'logger.print_freq: this key is missing'),
}


SWIN = {
    'type': 'SwinIR',
    'img_size': 8,
    'window_size': 8,
    'embed_dim': 12,
    'depths': [1],
    'num_heads': [2],
    'upscale': 4,
    'upsampler': 'pixelshuffle',
    'mlp_ratio': 2,
}
#: what would else end in a traceback, in a network that grows for ever, or in the first step
LATE = {
    'a generator that needs numbers to be built, of another scale': (
        {'network_g': {**SWIN, 'upscale': 2}},
        'network_g: its scale is 2, but the scale of the option file is 4',
    ),
    'a crop that its windows do not divide': (
        {
            'network_g': SWIN,
            'datasets__train__gt_size': 40,
            'network_d': {'type': 'PatchGANDiscriminator', 'num_layers': 2},
        },
        'network_g: it cannot take lq of 10x10 pixels, gt_size over scale',
    ),
    'a pairing by its name in KAIR': (
        {'model_type': 'SRGANModel', 'train__gan_opt': {'type': 'GANZooLoss', 'gan_type': 'ragan'}},
        'train.gan_opt: SRGANModel cannot pair logits',
    ),
    'a GAN loss in the place of a pixel loss': (
        {'train__pixel_opt': {'type': 'VanillaGANLoss'}},
        'train.pixel_opt: VanillaGANLoss does not compare the SR image',
    ),
    'a loss that compares no feature maps': (
        {'train__feature_matching_opt': {'type': 'L1Loss'}},
        'train.feature_matching_opt: L1Loss is no loss of feature maps',
    ),
    'experiments in a file': ({'path__experiments_root': '/dev/null'}, 'path.experiments_root: /dev/null is no folder'),
    'a URL that nobody fetches': (
        {'path__pretrain_network_g': 'ftp://x/y.pth'},
        'path.pretrain_network_g: ftp://x/y.pth',
    ),
    'a home of nobody': ({'path__pretrain_network_g': '~nouser/x'}, 'path.pretrain_network_g: ~nouser/x is'),
    'a path that no system has': ({'path__pretrain_network_g': 'a' * 4000}, 'path.pretrain_network_g: aaa'),
    'a generator without end': (
        {'network_g': {**RRDB, 'num_block': 10**6}},
        'network_g: this network has more',
    ),
    'a list for a width': (
        {'network_g__num_feat': [8]},
        'network_g: MSRResNet cannot be built with num_block: 1, num_feat: [8]',
    ),
    'a mapping for a number': (
        {'network_g__num_out_ch': {'value': 3}},
        'network_g.num_out_ch: this needs to be a',
    ),
    'a number as the name of an argument': (
        {'val__metrics__psnr': {'type': 'calculate_psnr', 'crop_border': 4, 1: 2}},
        'val.metrics.psnr.1: the name of a key needs to be text, got 1',
    ),
    'a value of 5000 characters': (
        {'train__pixel_opt__reduction': 'x' * 5000},
        'train.pixel_opt: Unsupported reduction',
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', LATE)
def test_what_training_would_refuse_late_is_one_short_sentence(name, tmp_path, monkeypatch, capsys):
    changes, expected = LATE[name]
    path = write_option_file(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    (message,) = found(check(capsys, path)[1])
    assert message.startswith(expected)
    assert len(message) < 400


def test_keys_that_a_model_of_basicsr_ignores_are_found_all_at_once(tmp_path, capsys):
    ignored = {'train__amp': 'bf16', 'train__accumulate': 2, 'val__tile': 64, 'val__keep_best': {'metric': 'psnr'}}
    changes = {'model_type': 'SRGANModel', 'train__gan_opt': {'type': 'RaGANLoss', 'pairing': 'plain'}, **ignored}
    keys = [message.partition(':')[0] for message in found(check(capsys, write_option_file(tmp_path, **changes))[1])]
    assert sorted(keys) == ['train.accumulate', 'train.amp', 'val.keep_best', 'val.tile']


def test_a_wrong_value_hides_no_other_mistake_and_makes_none_of_its_own(tmp_path, capsys):
    changes = {
        'network_d': 'VGG',
        'train__pixel_opt': [1],
        'scale': 'x',
        'train__total_iter': [4],
        'network_g__num_fet': 1,
    }
    keys = [message.partition(':')[0] for message in found(check(capsys, write_option_file(tmp_path, **changes))[1])]
    assert sorted(keys) == ['network_d', 'network_g.num_fet', 'scale', 'train.pixel_opt', 'train.total_iter']


def from_folder(**changes):
    """GTFolderDataset and the model that degrades its pictures."""
    data = {'name': 't', 'type': 'GTFolderDataset', 'dataroot_gt': 'data/gt', 'gt_size': 64, 'degradation': 'real'}
    data |= {'crop_pad_size': 80, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2}
    return {**degrading(network_d=D64, datasets__train=data), **changes}


LQ_ONLY = {'name': 'v', 'type': 'LQFolderDataset', 'dataroot_lq': 'data/lq'}
FOLDER_MISTAKES = {
    'nothing': (from_folder(datasets__val=LQ_ONLY, val__metrics=None), None),
    'metric without gt beside a dataset with gt': (from_folder(datasets__val_2=LQ_ONLY), None),
    'metric without gt': (
        from_folder(datasets__val=LQ_ONLY),
        'val.metrics.psnr: it compares with gt, which datasets.val',
    ),
    'model that needs lq': (
        from_folder(model_type='GANZooModel', gt_size=None, degradation=None),
        'has no lq images',
    ),
    'validation that needs lq': (
        from_folder(datasets__val={'name': 'v', 'type': 'GTFolderDataset', 'dataroot_gt': 'data/gt', 'gt_size': 64}),
        'datasets.val.type: GTFolderDataset has no lq images, which are needed here; use PairedFolderDataset, or LQ',
    ),
    'misspelt number of the degradation': (from_folder(resize_rnge=[0.5, 1.5]), 'did you mean resize_range'),
    'unknown preset': (from_folder(degradation='hard'), 'needs to be one of mild, medium, real'),
    'two presets': (from_folder(degradation='mild'), 'degradation is mild at the top level but real in datasets.train'),
    'a crop that the model does not know': (from_folder(gt_size=None), 'gt_size: gt_size, at the top level'),
    'small crop': (
        from_folder(datasets__train__crop_pad_size=64),
        'datasets.train.crop_pad_size: this needs to be a multiple of the scale 4 from 76',
    ),
    'crop below gt_size': (from_folder(gt_size=128), 'datasets.train.crop_pad_size: 80 pixels hold no crop of gt_size'),
}


@pytest.mark.parametrize('mistake', FOLDER_MISTAKES)
def test_a_mistake_about_folders_and_degradation_is_found_alone(mistake, tmp_path, monkeypatch, capsys):
    changes, expected = FOLDER_MISTAKES[mistake]
    changes = {key: value for key, value in changes.items() if value is not None or key == 'val__metrics'}
    path = write_option_file(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    messages = found(check(capsys, path)[1])
    assert [expected in message for message in messages] == ([True] if expected else []), messages


@pytest.mark.parametrize('block', ['datasets', 'path', 'train', 'val', 'logger', 'dist_params'])
@pytest.mark.parametrize('value', ['text', 5, [1]])
def test_what_is_no_mapping_is_the_only_error(block, value, tmp_path, capsys):
    code, findings = check(capsys, write_option_file(tmp_path, **{block: value}))
    assert code == 1
    assert {finding['key'] for finding in findings if finding['level'] == 'error'} == {block}


@pytest.mark.parametrize('kind', ['PairedImageDataset', 'PairedFolderDataset'])
def test_every_picture_is_looked_at_not_only_the_first(kind, tmp_path, capsys):
    changes = {'datasets__train__type': kind}
    path = write_option_file(tmp_path, **changes)
    (tmp_path / 'data/lq/2.png').write_bytes(b'no picture')
    told = found(check(capsys, path)[1])
    assert any('lq/2.png is damaged or no image' in message for message in told if 'datasets.train' in message)
    cv2.imwrite(str(tmp_path / 'data/lq/2.png'), np.zeros((16, 15, 3), np.uint8))
    told = found(check(capsys, path)[1])
    assert any('1 of 4 pairs do not fit scale 4' in message for message in told), told


def test_a_crop_that_the_generator_refuses_is_found(tmp_path, capsys):
    changes = {'network_g': {**RRDB, 'scale': 2}, 'scale': 2, 'datasets__train__gt_size': 34}
    told = found(check(capsys, write_option_file(tmp_path, **changes))[1])
    assert 'network_g: it cannot take lq of 17x17 pixels, gt_size over scale' in told


def test_what_no_dataset_of_basicsr_reads_is_a_warning(tmp_path, capsys):
    code, findings = check(capsys, write_option_file(tmp_path, datasets__train__colour_jitter=True))
    assert code == 0
    told = found(findings, 'warning')
    assert 'datasets.train.colour_jitter: PairedImageDataset does not read this key; remove it' in told


def test_json_is_all_that_is_printed_though_basicsr_prints(tmp_path, capsys):
    path = write_option_file(tmp_path, datasets__val__type='RealESRGANDataset')
    with pytest.raises(SystemExit):
        main(['check', '-opt', str(path), '--json'])
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_found_alone_and_nothing_is_written(mistake, tmp_path, monkeypatch, capsys):
    changes, expected = MISTAKES[mistake]
    path = write_option_file(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    code, findings = check(capsys, path)
    assert code == 1
    (message,) = found(findings)
    assert expected in message
    assert sorted(tmp_path.rglob('*')) == before


def test_a_good_file_has_no_errors(tmp_path, capsys):
    code, findings = check(capsys, write_option_file(tmp_path))
    assert code == 0
    assert found(findings) == []


def test_all_mistakes_are_told_at_once_and_training_tells_them_too(tmp_path, monkeypatch, capsys):
    path = write_option_file(tmp_path, network_d__num_feet=4, train__optim_g__lr='1e-4', val__val_freq=None)
    monkeypatch.chdir(tmp_path)
    assert len(found(check(capsys, path)[1])) == 3
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    err = capsys.readouterr().err
    assert stopped.value.code == 1
    assert '3 mistakes' in err
    assert all(word in err for word in ('num_feet', 'optim_g.lr', 'val_freq'))
    assert not (tmp_path / 'experiments').exists()


@pytest.mark.slow
def test_force_yml_can_mend_the_file(tmp_path, monkeypatch, capsys):
    path = write_option_file(tmp_path, train__optim_g__lr='1e-4', total_iter=2)
    monkeypatch.chdir(tmp_path)
    assert check(capsys, path)[0] == 1
    assert check(capsys, path, '--force_yml', 'train:optim_g:lr=0.0001')[0] == 0
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path), '--force_yml', 'train:optim_g:lr=0.0001'])
    assert not stopped.value.code, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('key', ['datasets:val', 'val:metrics:psnr', 'train:ema_decay', 'train:pixel_opt:loss_weight'])
def test_what_is_null_is_not_given(key, tmp_path, monkeypatch, capsys):
    path = write_option_file(tmp_path, total_iter=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path), '--force_yml', f'{key}=null'])
    assert not stopped.value.code, capsys.readouterr().err


def generator(**kwargs):
    return RRDBNet(3, 3, num_feat=8, num_grow_ch=4, **{'num_block': 2, **kwargs})


CHECKPOINTS = {
    'discriminator as generator': ('g', lambda: entries('archs')['UNetSNDiscriminator'](num_feat=4), 'discriminator'),
    'generator as discriminator': ('d', lambda: generator(), 'generator'),
    'file of another scale': ('g', lambda: generator(scale=2), 'is 2 (conv_first takes 12 channels)'),
    'file of another depth': ('g', lambda: generator(num_block=1), 'block'),
}


@pytest.mark.parametrize('mistake', CHECKPOINTS)
def test_a_checkpoint_that_does_not_fit_is_found_with_its_likely_cause(mistake, tmp_path, capsys):
    which, make, expected = CHECKPOINTS[mistake]
    file = save(make(), tmp_path / 'net.pth')
    path = write_option_file(tmp_path, network_g=RRDB, **{f'path__pretrain_network_{which}': file})
    code, findings = check(capsys, path)
    assert code == 1
    (message,) = found(findings)
    assert message.startswith(f'path.pretrain_network_{which}: ')
    assert expected in message


def test_a_generator_without_gan_beside_a_gan_trained_discriminator_is_a_warning(tmp_path, capsys):
    files = {
        'path__pretrain_network_g': save(generator(), tmp_path / 'RealESRNet_x4plus.pth'),
        'path__pretrain_network_d': save(entries('archs')['UNetSNDiscriminator'](num_feat=4), tmp_path / 'netD.pth'),
    }
    code, findings = check(capsys, write_option_file(tmp_path, network_g=RRDB, **files))
    assert code == 0
    (message,) = found(findings, 'warning')
    assert 'RealESRNet_x4plus.pth was trained without a GAN' in message


PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}}


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'train__gan_opt': {'type': 'VanillaGANLoss', 'loss_weight': 0}}, 'train.gan_opt.loss_weight: with a weight'),
        ({'path__pretrain_network_g': 'https://example.org/net.pth'}, 'it was not looked at'),
        ({'val__val_freq': 5}, 'val.val_freq: 5 is more than total_iter 4, so that validation comes at the end alone'),
        (
            {'logger__save_checkpoint_freq': 5},
            'logger.save_checkpoint_freq: 5 is more than total_iter 4, so that nothing is saved before the end',
        ),
        (
            {
                'val__metrics': {'niqe': {'type': 'calculate_niqe', 'crop_border': 4}},
                'val__keep_best': {'metric': 'niqe'},
            },
            'val.keep_best.better: of calculate_niqe a lower value is better, so that the worst would be kept',
        ),
        ({'logger__print_freq': 5}, 'logger.print_freq: 5 is more than total_iter 4, so that the log never tells'),
        (
            {'train__perceptual_opt': {**PERCEPTUAL, 'perceptual_weight': 0}},
            'train.perceptual_opt: with both weights 0 this loss has no effect',
        ),
        ({'train__vgg_opt': {**PERCEPTUAL, 'perceptual_weight': 0}}, 'train.vgg_opt: with both weights 0 this loss'),
    ],
)
def test_what_may_be_meant_is_a_warning(changes, expected, tmp_path, capsys):
    code, findings = check(capsys, write_option_file(tmp_path, **changes))
    assert code == 0
    assert any(expected in message for message in found(findings, 'warning'))


@pytest.mark.parametrize('key', ['perceptual_opt', 'style_of_vgg_opt'])
def test_perceptual_weights_that_have_to_be_fetched_are_named_with_file_place_and_url(
    key, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = write_option_file(tmp_path, **{f'train__{key}': PERCEPTUAL})
    told = ' '.join(found(check(capsys, path)[1], 'warning'))
    assert f'train.{key}: vgg19-dcbb9e9d.pth' in told
    assert 'vgg19-dcbb9e9d.pth (548 MB)' in told
    assert 'https://download.pytorch.org/models/vgg19-dcbb9e9d.pth' in told
    assert 'experiments/pretrained_models' in told
    weights = tmp_path / 'experiments/pretrained_models/vgg19-dcbb9e9d.pth'
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b'')
    assert 'vgg19' not in ' '.join(found(check(capsys, path)[1], 'warning'))


def test_a_good_file_has_one_warning_that_it_starts_from_random_weights(tmp_path, capsys):
    (told,) = found(check(capsys, write_option_file(tmp_path))[1], 'warning')
    assert told.startswith('path.pretrain_network_g: a GAN from random weights')


def test_pairs_that_do_not_lie_on_each_other_are_a_warning(tmp_path, capsys):
    write_pairs(tmp_path / 'shifted', count=4, gt_size=256)
    rng = np.random.default_rng(0)
    for path in sorted((tmp_path / 'shifted/lq').iterdir()):
        picture = cv2.GaussianBlur(rng.integers(0, 255, (80, 80, 3), dtype=np.uint8), (5, 5), 1)
        gt = cv2.resize(picture, (320, 320), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), picture[:64, :64])
        cv2.imwrite(str(tmp_path / 'shifted/gt' / path.name), gt[12:268, 12:268])  # 3 pixels of LQ away
    roots = {f'datasets__train__dataroot_{kind}': str(tmp_path / 'shifted' / kind) for kind in ('gt', 'lq')}
    path = write_option_file(tmp_path, **roots, datasets__train__gt_size=256)
    told = found(check(capsys, path)[1], 'warning')
    assert any('lie 4.2 pixels of lq apart' in message for message in told), told
    for kind in ('gt', 'lq'):
        shutil.rmtree(tmp_path / 'shifted' / kind)
    write_pairs(tmp_path / 'shifted', count=4, gt_size=256)
    assert not any('apart' in message for message in found(check(capsys, path)[1], 'warning'))


def test_the_text_output_ends_with_the_counts(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['check', '-opt', str(write_option_file(tmp_path, scale=0))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith('1 error, 1 warning')
    assert lines[0].startswith('error: scale: ')


@pytest.mark.slow
@pytest.mark.parametrize('path', sorted(OPTIONS.rglob('*.yml')), ids=lambda path: path.stem)
def test_shipped_files_lack_nothing_but_the_users_own_files(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    findings, opt = check(capsys, path)[1], yaml.safe_load(path.read_text())
    wrong = [text for text in found(findings) if not re.match(r'datasets\..*(datasets|ganzoo_demo)/', text)]
    files = [opt['path'].get(f'pretrain_network_{which}') for which in 'gd']
    assert len(wrong) == len([file for file in files if file])
    assert all(text.startswith('path.pretrain_network_') and 'is not a file' in text for text in wrong)
    assert not any('no effect' in text or 'total_iter' in text for text in found(findings, 'warning'))
