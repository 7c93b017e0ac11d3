"""``ganzoo test``: BasicSR's test pipeline on the validation sets of an option file."""

import re

import cv2
import pytest
import torch
from _training import write_option_file
from basicsr.archs.srresnet_arch import MSRResNet
from basicsr.metrics import calculate_psnr

from basicsr_ganzoo.cli import main


@pytest.fixture
def checkpoint(tmp_path):
    net = MSRResNet(num_feat=4, num_block=1, upscale=4)
    torch.save({'params': net.state_dict()}, tmp_path / 'net_g.pth')
    return tmp_path / 'net_g.pth'


def measure(*args):
    with pytest.raises(SystemExit) as stopped:
        main(['test', *map(str, args)])
    return stopped.value.code or 0


@pytest.mark.parametrize('as_flag', [True, False])
def test_the_number_is_that_of_the_saved_pictures(as_flag, checkpoint, tmp_path, monkeypatch, capsys):
    changes = {} if as_flag else {'path__pretrain_network_g': str(checkpoint)}
    path = write_option_file(tmp_path, val__save_img=True, **changes)
    monkeypatch.chdir(tmp_path)
    assert measure('-opt', path, *(['-m', checkpoint] if as_flag else [])) == 0
    told = float(re.search(r'# psnr: ([\d.]+)', capsys.readouterr().err)[1])
    pictures = sorted((tmp_path / 'results/gan_x4/visualization/held_out').glob('*.png'))
    assert len(pictures) == 4
    scores = []
    for picture in pictures:
        gt = cv2.imread(str(tmp_path / 'data/gt' / f'{picture.stem.split("_")[0]}.png'))
        scores.append(calculate_psnr(cv2.imread(str(picture)), gt, crop_border=4))
    assert told == pytest.approx(sum(scores) / 4, abs=1e-3)
    assert not (tmp_path / 'experiments').exists()


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({}, 'no generator to evaluate'),
        ({'path__pretrain_network_g': 'nowhere.pth'}, 'nowhere.pth'),
        ({'datasets__val': None}, 'no datasets.val'),
        ({'val': None}, 'lacks val'),
        ({'val__save_img': None}, 'lacks val.save_img'),
        ({'datasets__val__dataroot_lq': 'nowhere', 'path__pretrain_network_g': 'net_g.pth'}, 'nowhere'),
    ],
)
def test_a_mistake_is_one_sentence(changes, expected, checkpoint, tmp_path, monkeypatch, capsys):
    path = write_option_file(tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    assert measure('-opt', path) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith('error: ')
    assert expected in message
