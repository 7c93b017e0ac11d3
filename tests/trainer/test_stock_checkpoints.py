"""Checkpoints of models that save as BasicSR's do, by themselves and under the loop: whole or not there."""

import os
import re
from pathlib import Path

import pytest
import torch
from _runs import paired, results, stock, train
from _state import differences

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import save_whole
from basicsr_ganzoo.trainer.save import WholeCheckpoint

NAMES = ['4.state', 'net_d_4.pth', 'net_g_4.pth']


def save_as_basicsr(folder):
    """Saves the state first, and swallows errors."""
    for name in NAMES:
        try:
            torch.save({'name': name, 'new': True}, str(folder / name))
        except Exception:
            print('just ignore it')


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_get_their_names_at_the_end_and_the_state_comes_last(tmp_path, monkeypatch):
    given = []
    replace = os.replace
    monkeypatch.setattr(os, 'replace', lambda part, path: (given.append(Path(path).name), replace(part, path)))
    with WholeCheckpoint({'batch': 3}):
        save_as_basicsr(tmp_path)
        assert all(name.startswith('.part-') for name in names_in(tmp_path))
    assert given == ['net_d_4.pth', 'net_g_4.pth', '4.state']
    assert names_in(tmp_path) == NAMES
    assert torch.load(tmp_path / '4.state')['loop'] == {'batch': 3}
    assert 'loop' not in torch.load(tmp_path / 'net_g_4.pth')


@pytest.mark.parametrize('failing', NAMES)
@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), RuntimeError('unexpected pos')])
def test_a_save_that_fails_is_one_sentence_and_leaves_what_was_there(error, failing, tmp_path, monkeypatch, capsys):
    save_as_basicsr(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in NAMES}
    save = torch.save

    def full(content, file, **kwargs):
        if str(file).endswith(failing):
            Path(file).write_bytes(b'half a file')
            raise error
        save(content, file, **kwargs)

    monkeypatch.setattr(torch, 'save', full)
    reason = re.escape(error.strerror if isinstance(error, OSError) else str(error))
    with pytest.raises(OptionError, match=f'cannot write .*{failing}: {reason}; the chec'), WholeCheckpoint({}):
        save_as_basicsr(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)} == before
    assert torch.save is full
    assert 'ignore' not in capsys.readouterr().out


def test_another_error_leaves_nothing_behind_and_stays_what_it_is(tmp_path):
    def save_and_fail():
        save_as_basicsr(tmp_path)
        return 1 / 0

    with pytest.raises(ZeroDivisionError), WholeCheckpoint({}):
        save_and_fail()
    assert names_in(tmp_path) == []


def test_files_that_are_saved_whole_already_and_streams_pass_through(tmp_path):
    with WholeCheckpoint({}), (tmp_path / 'stream').open('wb') as stream:
        save_whole({'a': 1}, tmp_path / 'a.state')
        torch.save({'b': 2}, stream)
        assert names_in(tmp_path) == ['a.state', 'stream']
    assert torch.load(tmp_path / 'a.state') == {'a': 1}
    assert torch.load(tmp_path / 'stream') == {'b': 2}


def test_a_model_of_basicsr_goes_on_within_an_epoch_to_the_same_bits(tmp_path):
    whole, path = stock(tmp_path / 'whole'), stock(tmp_path / 'died')
    assert train(whole)[0] == 0
    assert train(path, die_after=7)[0] == 9
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert 'iter: 4.' in output
    assert 'not exactly as without a stop: the random numbers of BasicSR' in output
    assert 'epoch begins anew' not in output
    expected, found = (results(file.parent, 10) for file in (whole, path))
    assert differences(expected, found) == []


def test_a_full_disk_ends_a_model_of_basicsr_with_the_checkpoint_before_whole(tmp_path):
    """A limit on the size of files stands for it: the networks fit, the state with the optimizers does not."""
    path = stock(tmp_path, total_iter=4, logger__save_checkpoint_freq=2, datasets__train__num_worker_per_gpu=0)
    assert train(path, '--force_yml', 'train:total_iter=2')[0] == 0
    home = tmp_path / 'experiments/gan_x4'
    before = results(tmp_path, 2)
    limit = (home / 'training_states/2.state').stat().st_size // 2
    code, output = train(path, '--auto_resume', largest_file=limit)
    assert code == 1
    assert f'error: cannot write {home}/training_states/4.state: ' in output
    assert 'Traceback' not in output
    assert 'ignore' not in output
    assert names_in(home / 'training_states') == ['2.state']
    assert not list(home.rglob('net_*_4.pth'))
    assert differences(before, results(tmp_path, 2)) == []
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert 'iter:       4' in output


def test_the_state_of_a_model_of_basicsr_is_one_for_ours(tmp_path):
    """Optimizers, networks and the place among the pictures go over; random numbers there are none."""
    folder = tmp_path / 'x'
    assert train(stock(folder, total_iter=4))[0] == 0
    none = dict.fromkeys(('train__d_reg_opt', 'train__gan_weight_opt'))
    code, output = train(paired(folder, total_iter=6, **none), '--auto_resume')
    assert code == 0, output
    assert 'iter: 4.' in output
    assert 'iter:       6' in output
