"""What README.md and the pages under docs/ show is what the package does."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from _runs import train
from _training import OPTIONS, write_option_file
from basicsr.archs.rrdbnet_arch import RRDBNet
from torchvision.models import vgg

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.engine.cost import FlopCounter
from basicsr_ganzoo.health.rules import RULES, sentence
from basicsr_ganzoo.profiling.network_cost import adversary_cost
from basicsr_ganzoo.registry import entries

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT): path.read_text(encoding='utf-8') for path in [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]
}
TEXT = '\n'.join(PAGES.values())
README = PAGES[Path('README.md')]
SIZE = (256, 256)  # of the image whose FLOPs the tables state


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', TEXT, re.DOTALL)


def test_the_readme_stays_short_enough_to_read():
    assert len(README.splitlines()) <= 250


def test_every_page_is_linked_from_the_readme():
    pages = {str(path) for path in PAGES if path.parent == Path('docs')}
    assert pages
    assert {page for page in pages if f']({page})' not in README} == set()


def test_the_option_file_in_the_docs_is_the_shipped_one():
    assert (OPTIONS / 'train/gan_x4.yml').read_text() in blocks('yaml')


@pytest.mark.slow
def test_own_discriminator_and_loss_train_as_documented(tmp_path):
    (code,) = blocks('python')
    (block,) = (yaml.safe_load(text) for text in blocks('yaml') if 'imports: [own_zoo.py]' in text)
    (tmp_path / 'own_zoo.py').write_text(code)
    changes = {
        'imports': block['imports'],
        'network_d': block['network_d'],
        'train__gan_opt': block['train']['gan_opt'],
    }
    path = write_option_file(tmp_path, total_iter=2, **changes)
    code, output = train(path)
    assert code == 0, output
    saved = torch.load(tmp_path / 'experiments/gan_x4/models/net_d_2.pth', weights_only=True)
    assert set(saved['params']) == {'0.weight', '0.bias', '2.weight', '2.bias'}


@pytest.mark.slow
def test_the_exchanged_blocks_train(tmp_path, monkeypatch):
    (block,) = (yaml.safe_load(text) for text in blocks('yaml') if 'HingeGANLoss' in text)
    gan_opt = block['train']['gan_opt']
    path = write_option_file(tmp_path, network_d=block['network_d'] | {'num_feat': 4}, train__gan_opt=gan_opt)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    assert not stopped.value.code


@pytest.mark.slow
def test_the_table_of_discriminators_says_what_ganzoo_list_says(capsys):
    with pytest.raises(SystemExit):
        main(['list', 'archs', '--json'])
    infos = {info['name']: info for info in json.loads(capsys.readouterr().out)}
    rows = dict(re.findall(r'\| `(\w+Discriminator)` \|.*\| (.+) \|\n', TEXT))
    assert set(rows) == set(infos) == set(entries('archs'))
    for name, seen in rows.items():
        field = infos[name]['receptive_field']
        if name != 'PatchGANDiscriminator':  # its row gives the range over its layers
            assert seen == (f'{field} px' if field else 'the image')


def test_every_loss_is_named():
    assert [name for name in entries('losses') if f'`{name}`' not in TEXT] == []


@pytest.mark.parametrize(
    ('page', 'link'), [(p, link) for p, text in PAGES.items() for link in re.findall(r'\]\(([^)#:]+)\)', text)]
)
def test_every_link_to_a_file_leads_somewhere(page, link):
    assert (ROOT / page.parent / link).exists()


def step_flops(generator):
    """FLOPs of G's part of a step for one 256x256 image, and of the VGG19 loss up to conv5_4."""
    with torch.device('meta'):
        features = vgg.vgg19().features[:35].requires_grad_(False)
        lq, sr, gt = (
            torch.empty(1, 3, 64, 64),
            torch.empty(1, 3, 256, 256, requires_grad=True),
            torch.empty(1, 3, 256, 256),
        )
    with FlopCounter() as counter:
        generator(lq).sum().backward()
        torch.autograd.grad((features(sr) - features(gt)).abs().mean(), sr)
    return counter.total


@pytest.mark.slow
def test_the_costs_of_the_discriminators_are_those_that_are_counted():
    with torch.device('meta'):
        rest = step_flops(RRDBNet(3, 3, num_feat=64, num_block=23))
    games = {name: adversary_cost(network, SIZE) for name, network in entries('archs').items()}
    unet = games['UNetSNDiscriminator']
    stated = re.findall(r'\| `(\w+Discriminator)` \|.*\| (\d\.\d\d), (\d\.\d\d) \|', TEXT)
    assert {name for name, *_ in stated} == set(games)
    for name, game, step in stated:
        assert game == f'{games[name] / unet:.2f}'
        assert step == f'{(rest + games[name]) / (rest + unet):.2f}'


@pytest.mark.slow
def test_the_prices_of_the_regularizers_are_those_that_are_counted():
    unet = entries('archs')['UNetSNDiscriminator']
    plain = adversary_cost(unet, SIZE)
    rows = re.findall(r'\| `d_reg_opt`: (`\w+`(?:, `\w+`)*).* \| (\d\.\d\d)', TEXT)
    prices = {name: price for names, price in rows for name in re.findall(r'\w+', names)}
    assert set(prices) == set(entries('regularizers'))
    for name, price in prices.items():
        charged = adversary_cost(unet, SIZE, regularizers={'it': entries('regularizers')[name]()})
        assert price == f'{charged / plain:.2f}', name


@pytest.mark.slow
def test_several_discriminators_train_as_documented(tmp_path, monkeypatch):
    (block,) = (yaml.safe_load(text) for text in blocks('yaml') if text.startswith('adversaries:'))
    for adversary in block['adversaries'].values():
        adversary['network_d']['num_feat'] = 4
    removed = dict.fromkeys(('network_d', 'train__gan_opt', 'train__optim_d'))
    path = write_option_file(tmp_path, adversaries=block['adversaries'], **removed)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    assert not stopped.value.code
    saved = {file.name for file in (tmp_path / 'experiments/gan_x4/models').iterdir()}
    assert {'net_d_unet_4.pth', 'net_d_texture_4.pth'} <= saved


@pytest.mark.slow
def test_a_run_validates_as_documented(tmp_path, monkeypatch):
    (block,) = (yaml.safe_load(text)['val'] for text in blocks('yaml') if text.startswith('val:'))
    assert block['metrics'].pop('lpips')['type'] in entries('metrics')  # pyiqa need not be here
    path = write_option_file(tmp_path, val=block | {'val_freq': 4})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(['train', '-opt', str(path)])
    assert not stopped.value.code
    folder = tmp_path / 'experiments/gan_x4'
    assert (folder / 'models/net_g_best.pth').is_file()
    assert len(list((folder / 'visualization/preview/held_out').glob('*_4.png'))) == block['preview']


@pytest.mark.parametrize('kind', ['regularizers', 'views', 'gan_weights'])
def test_everything_that_stabilises_is_named(kind):
    assert [name for name in entries(kind) if f'`{name}`' not in TEXT] == []


def test_the_verdict_in_the_docs_is_one_that_the_health_report_gives():
    rule = next(rule for rule in RULES if rule.name == 'discriminator wins')
    verdict = f'WARNING: health: {sentence(rule, {"acc_d_real": 0.99, "acc_d_fake": 1.0}, 1000, "train.")}'
    assert verdict in ' '.join(TEXT.split())
