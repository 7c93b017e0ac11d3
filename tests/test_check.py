"""``ganzoo check``: everything wrong with an option file at once, and nothing written."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
import yaml
from _training import OPTIONS, write_option_file, write_pairs
from basicsr.archs.rrdbnet_arch import RRDBNet

from basicsr_ganzoo._registry import entries
from basicsr_ganzoo.cli import main


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


D64 = {'type': 'UNetSNDiscriminator', 'num_feat': 4}
#: the changes of a good file, and what the only error has to say
MISTAKES = {
    'misspelt key': ({'train__net_d_itres': 2}, 'train.net_d_itres: nobody reads this key (did you mean net_d_iters?)'),
    'misspelt top key': ({'netwrok_d': {}}, 'netwrok_d: nobody reads this key (did you mean network_d?)'),
    'misspelt model': ({'model_type': 'GANZoModel'}, 'did you mean GANZooModel'),
    'misspelt network': ({'network_d': {'type': 'UNetSNDiscriminatr'}}, 'did you mean UNetSNDiscriminator'),
    'misspelt argument': ({'network_d__num_feet': 4}, 'did you mean num_feat'),
    'wrong value': ({'network_d': {'type': 'PixelGANDiscriminator', 'norm': 'bach'}}, 'did you mean batch'),
    'misspelt loss': ({'train__gan_opt': {'type': 'HingeGANLos'}}, 'did you mean HingeGANLoss'),
    'labels without labels': (
        {'train__gan_opt': {'type': 'WGANLoss', 'real_label_val': 0.9}},
        'train.gan_opt: WGANLoss has no option real_label_val',
    ),
    'misspelt optimizer': ({'train__optim_g': {'type': 'Adm', 'lr': 0.1}}, 'did you mean Adam'),
    'misspelt optimizer argument': ({'train__optim_g': {'type': 'Adam', 'bets': [0, 1]}}, 'did you mean betas'),
    'misspelt scheduler': ({'train__scheduler': {'type': 'MultiStep'}}, 'did you mean MultiStepLR'),
    'scheduler without milestones': ({'train__scheduler': {'type': 'MultiStepLR'}}, 'needs the option milestones'),
    'misspelt metric': ({'val__metrics': {'psnr': {'type': 'calculate_pnsr'}}}, 'did you mean calculate_psnr'),
    'misspelt dataset': ({'datasets__train__type': 'PairedImagDataset'}, 'did you mean PairedImageDataset'),
    'misspelt dataset key': ({'datasets__train__dataset_enlarge_ration': 2}, 'did you mean dataset_enlarge_ratio'),
    'number as text': ({'train__optim_d__lr': '1e-4'}, "train.optim_d.lr: '1e-4' is text"),
    'number as text in a list': ({'train__optim_g__betas': ['9e-1', 0.99]}, 'train.optim_g.betas[0]'),
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
    'key that is missing': ({'logger__print_freq': None}, 'logger.print_freq: this key is missing'),
}


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


def test_force_yml_can_mend_the_file(tmp_path, monkeypatch, capsys):
    path = write_option_file(tmp_path, train__optim_g__lr='1e-4', total_iter=2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path), '--force_yml', 'train:optim_g:lr=0.0001'])
    assert not stopped.value.code, capsys.readouterr().err


def generator(**kwargs):
    return RRDBNet(3, 3, num_feat=8, num_grow_ch=4, **{'num_block': 2, **kwargs})


RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_grow_ch': 4, 'num_block': 2}
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


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'train__gan_opt': {'type': 'VanillaGANLoss', 'loss_weight': 0}}, 'train.gan_opt.loss_weight: with a weight'),
        ({'path__pretrain_network_g': 'https://example.org/net.pth'}, 'it was not looked at'),
    ],
)
def test_what_may_be_meant_is_a_warning(changes, expected, tmp_path, capsys):
    code, findings = check(capsys, write_option_file(tmp_path, **changes))
    assert code == 0
    assert any(expected in message for message in found(findings, 'warning'))


def test_perceptual_weights_that_have_to_be_fetched_are_named_with_file_place_and_url(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    block = {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}}
    path = write_option_file(tmp_path, train__perceptual_opt=block)
    told = ' '.join(found(check(capsys, path)[1], 'warning'))
    assert 'vgg19-dcbb9e9d.pth (548 MB)' in told
    assert 'https://download.pytorch.org/models/vgg19-dcbb9e9d.pth' in told
    assert 'experiments/pretrained_models' in told
    weights = tmp_path / 'experiments/pretrained_models/vgg19-dcbb9e9d.pth'
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b'')
    assert 'vgg19' not in ' '.join(found(check(capsys, path)[1], 'warning'))


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
    assert lines[-1].endswith('1 errors, 1 warnings')
    assert lines[0].startswith('error: scale: ')


@pytest.mark.parametrize('path', sorted(OPTIONS.rglob('*.yml')), ids=lambda path: path.stem)
def test_shipped_files_lack_nothing_but_the_users_own_files(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for message in found(check(capsys, path)[1]):
        assert message.startswith(('datasets.', 'path.pretrain_network_')), message
    assert yaml.safe_load(path.read_text())
