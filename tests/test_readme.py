"""What README.md shows is what the package does."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from _training import OPTIONS, run_python, write_option_file

from basicsr_ganzoo._registry import entries
from basicsr_ganzoo.cli import main

README = (Path(__file__).parent.parent / 'README.md').read_text(encoding='utf-8')


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', README, re.DOTALL)


def test_the_option_file_in_the_readme_is_the_shipped_one():
    assert (OPTIONS / 'train/gan_x4.yml').read_text() in blocks('yaml')


def test_own_discriminator_and_loss_train_as_the_readme_says(tmp_path):
    (code,) = blocks('python')
    (block,) = (yaml.safe_load(text) for text in blocks('yaml') if 'imports: [own_zoo.py]' in text)
    (tmp_path / 'own_zoo.py').write_text(code)
    changes = {
        'imports': block['imports'],
        'network_d': block['network_d'],
        'train__gan_opt': block['train']['gan_opt'],
    }
    path = write_option_file(tmp_path, total_iter=2, **changes)
    done = run_python('-m', 'basicsr_ganzoo.train', '-opt', path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    saved = torch.load(tmp_path / 'experiments/gan_x4/models/net_d_2.pth', weights_only=True)
    assert set(saved['params']) == {'0.weight', '0.bias', '2.weight', '2.bias'}


def test_the_exchanged_blocks_train(tmp_path, monkeypatch):
    (block,) = (yaml.safe_load(text) for text in blocks('yaml') if 'HingeGANLoss' in text)
    gan_opt = block['train']['gan_opt']
    path = write_option_file(tmp_path, network_d=block['network_d'] | {'num_feat': 4}, train__gan_opt=gan_opt)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    assert not stopped.value.code


def test_the_table_of_discriminators_says_what_ganzoo_list_says(capsys):
    with pytest.raises(SystemExit):
        main(['list', 'archs', '--json'])
    infos = {info['name']: info for info in json.loads(capsys.readouterr().out)}
    rows = dict(re.findall(r'\| `(\w+Discriminator)` \|.*\| (.+) \|\n', README))
    assert set(rows) == set(infos) == set(entries('archs'))
    for name, seen in rows.items():
        field = infos[name]['receptive_field']
        if name != 'PatchGANDiscriminator':  # its row gives the range over its layers
            assert seen == (f'{field} px' if field else 'the image')


def test_every_loss_is_named():
    assert [name for name in entries('losses') if f'`{name}`' not in README] == []


@pytest.mark.parametrize('link', re.findall(r'\]\(([^)#:]+)\)', README))
def test_every_link_to_a_file_leads_somewhere(link):
    assert (Path(__file__).parent.parent / link).exists()
