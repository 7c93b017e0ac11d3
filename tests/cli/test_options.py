"""``ganzoo options``, and shipped option files by their names."""

import shutil

import pytest
import torch
from _training import OPTIONS, write_option_file

from basicsr_ganzoo.cli import main
from basicsr_ganzoo.config import shipped
from basicsr_ganzoo.config.shipped import find_option_file, find_shipped_file, shipped_files
from basicsr_ganzoo.errors import OptionError

ESRGAN = OPTIONS / 'train/ESRGAN/esrgan_x4.yml'


def ganzoo(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, args)))
    captured = capsys.readouterr()
    return stopped.value.code or 0, captured.out, captured.err


@pytest.mark.parametrize('args', [(), ('list',)])
def test_the_list_names_every_file_with_its_first_line(args, capsys):
    code, out, _ = ganzoo(capsys, 'options', *args)
    listed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert sorted(listed) == sorted(path.stem for path in OPTIONS.rglob('*.yml'))
    assert listed['esrgan_x4'] == ESRGAN.read_text().splitlines()[0].removeprefix('# ')
    assert all(listed.values())


def test_names_are_unique():
    assert len(shipped_files()) == len(list(OPTIONS.rglob('*.yml')))


NAMES = [
    'esrgan_x4',
    'esrgan_x4.yml',
    'ESRGAN/esrgan_x4',
    'train/ESRGAN/esrgan_x4.yml',
    'options/train/ESRGAN/esrgan_x4.yml',
]


@pytest.mark.parametrize('name', NAMES)
def test_a_file_is_found_by_its_name_with_or_without_folders_and_extension(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_shipped_file(name).samefile(ESRGAN)
    assert find_option_file(name).samefile(ESRGAN)


@pytest.mark.parametrize(
    'name', ['SRGAN/esrgan_x4', '/ESRGAN/esrgan_x4', '../ESRGAN/esrgan_x4.yml', 'a/options/train/ESRGAN/esrgan_x4']
)
def test_other_folders_are_not_taken_for_ours(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match='esrgan_x4 is options/train/ESRGAN/esrgan_x4.yml'):
        find_shipped_file(name)


def test_an_own_file_goes_before_a_shipped_one_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'esrgan_x4.yml').write_text('name: own')
    assert find_option_file('esrgan_x4.yml').read_text() == 'name: own'
    assert find_option_file('esrgan_x4').samefile(ESRGAN)


def elsewhere(path):
    """The text of a shipped file for another folder, where editors still find the schema."""
    return path.read_text().replace('$schema=../../schema.json', f'$schema={(OPTIONS / "schema.json").as_uri()}')


def test_show_prints_the_file(capsys):
    assert elsewhere(ESRGAN) != ESRGAN.read_text()
    assert ganzoo(capsys, 'options', 'show', 'esrgan_x4') == (0, elsewhere(ESRGAN), '')


def test_the_reference_and_the_schema_are_printed(capsys):
    assert ganzoo(capsys, 'options', 'reference') == (0, (OPTIONS.parent / 'docs/options.md').read_text(), '')
    code, out, _ = ganzoo(capsys, 'options', 'schema')
    assert code == 0
    assert out == (OPTIONS / 'schema.json').read_text()


def test_copy_writes_here_into_a_folder_or_under_another_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    for dest, expected in (((), 'esrgan_x4.yml'), (('folder',), 'folder/esrgan_x4.yml'), (('my.yml',), 'my.yml')):
        code, out, _ = ganzoo(capsys, 'options', 'copy', 'esrgan_x4', *dest)
        assert code == 0
        assert expected in out
        assert (tmp_path / expected).read_text() == elsewhere(ESRGAN)


MISTAKES = {
    'unknown name': (('show', 'esrgan_4x'), 'did you mean esrgan_x4?'),
    'unknown name to copy': (('copy', 'realesrgan_x4'), 'did you mean realesrgan_x4plus?'),
    'nothing near': (('show', 'qqq'), 'no shipped option file is called qqq; `ganzoo options` lists them'),
    'file that is there': (('copy', 'esrgan_x4', 'there.yml'), 'there.yml is there already'),
    'folder that is not there': (('copy', 'esrgan_x4', 'nowhere/x.yml'), 'cannot write nowhere/x.yml: No such file'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_1(mistake, tmp_path, monkeypatch, capsys):
    args, expected = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there.yml').write_text('mine')
    code, out, err = ganzoo(capsys, 'options', *args)
    assert (code, out) == (1, '')
    assert err.startswith('error: ')
    assert err.count('\n') == 1
    assert expected in err
    assert [path.name for path in tmp_path.iterdir()] == ['there.yml']
    assert (tmp_path / 'there.yml').read_text() == 'mine'


def test_train_takes_the_name_of_a_shipped_file(tmp_path, monkeypatch, capsys):
    folder = tmp_path / 'options/train'
    folder.mkdir(parents=True)
    shutil.move(write_option_file(tmp_path, total_iter=1), folder / 'gan_x4.yml')
    monkeypatch.setattr(shipped, 'options_root', lambda: tmp_path / 'options')
    (tmp_path / 'run').mkdir()
    monkeypatch.chdir(tmp_path / 'run')
    code, _, err = ganzoo(capsys, 'train', '-opt', 'gan_x4')
    assert code == 0, err
    experiment = tmp_path / 'run/experiments/gan_x4'
    assert torch.load(experiment / 'models/net_g_latest.pth', weights_only=True)['params']
    assert (experiment / 'gan_x4.yml').is_file()


def test_train_names_a_near_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, err = ganzoo(capsys, 'train', '-opt', 'realesrgan_x4')
    assert code == 1
    assert err.startswith('error: -opt names no file: realesrgan_x4, and')
    assert 'did you mean realesrgan_x4plus?' in err


def test_an_installation_without_option_files_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, '__file__', str(tmp_path / 'basicsr_ganzoo' / 'config' / 'shipped.py'))
    code, out, err = ganzoo(capsys, 'options')
    assert (code, out) == (1, '')
    assert err.startswith(f'error: basicsr_ganzoo is incomplete: its option files are neither in {tmp_path}')
    assert err.count('\n') == 1
