"""A stopped, killed or damaged run is resumed and ends with the same weights as an uninterrupted one."""

import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from _runs import degrading, output_of, paired, results, start, stock, train, wait_for
from _state import differences

from basicsr_ganzoo.trainer import experiment_dir, loop
from basicsr_ganzoo.trainer.signals import StopRequest

pytestmark = pytest.mark.slow


def iterations(output):
    return [int(number) for number in re.findall(r'iter: +(\d+),', output)]


KINDS = {'pairs': paired, 'degraded on the fly, with a pool': degrading}


@pytest.fixture(scope='module', params=KINDS)
def uninterrupted(request, tmp_path_factory):
    """How to write the option file, and the results of an uninterrupted run."""
    folder = tmp_path_factory.mktemp('uninterrupted')
    code, output = train(KINDS[request.param](folder))
    assert code == 0, output
    return KINDS[request.param], results(folder, 10)


@pytest.mark.parametrize('param_key', ['params_ema', 'auto'])
def test_a_run_that_died_within_an_epoch_resumes_to_the_same_bits(param_key, uninterrupted, tmp_path):
    """``param_key_*`` belongs to the pretrained files, not to checkpoints."""
    write, expected = uninterrupted
    path = write(tmp_path)
    keys = ['--force_yml', *(f'path:param_key_{which}={param_key}' for which in 'gd')]
    assert train(path, *keys, die_after=7)[0] == 9
    code, output = train(path, '--auto_resume', *keys)
    assert code == 0, output
    assert 'iter: 4.' in output
    assert 'not exactly' not in output
    assert differences(expected, results(tmp_path, 10)) == []


@pytest.mark.parametrize('change', ['num_worker_per_gpu=0', 'prefetch_mode=cpu'])
def test_how_images_are_loaded_changes_nothing(change, uninterrupted, tmp_path):
    write, expected = uninterrupted
    code, output = train(write(tmp_path), '--force_yml', f'datasets:train:{change}')
    assert code == 0, output
    assert differences(expected, results(tmp_path, 10)) == []


def test_validation_changes_no_weight(tmp_path):
    """PyTorch's loader draws from the generator that the degradation uses."""
    for name in ('with', 'without'):
        code, output = train(degrading(tmp_path / name, **({} if name == 'with' else {'val': None})))
        assert code == 0, output
    one, other = (results(tmp_path / name, 10) for name in ('with', 'without'))
    for name in ('net_g_10.pth', 'net_d_10.pth'):
        assert differences(one[name], other[name]) == []


# ---------------------------------------------------------------- stopping and killing


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_saves_it_and_says_how_to_resume(number, code, tmp_path):
    path = paired(tmp_path, total_iter=100000, logger__save_checkpoint_freq=100000)
    process = start(path)
    wait_for(path, 'iter:       3', process)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == code
    farewell = output_of(path).splitlines()[-1]
    (state,) = (tmp_path / 'experiments/gan_x4/training_states').iterdir()
    assert farewell == (
        f'stopped after iteration {state.stem} of 100000, saved as {state}; continue with --auto_resume'
    )
    assert 'Traceback' not in output_of(path)
    code, output = train(path, '--auto_resume', '--force_yml', f'train:total_iter={int(state.stem) + 1}')
    assert code == 0, output
    assert f'iter: {state.stem}.' in output


def test_a_signal_interrupts_validation_and_the_resumed_run_repeats_it(tmp_path):
    path = paired(tmp_path, total_iter=4)
    metric = tmp_path / 'metric.py'
    metric.write_text(
        'import os, signal\nfrom basicsr.utils.registry import METRIC_REGISTRY\n\n\n@METRIC_REGISTRY.register()\n'
        'def calculate_and_kill(img, img2):\n    if not os.path.exists("killed"):\n'
        '        open("killed", "w").close()\n        os.kill(os.getpid(), signal.SIGTERM)\n    return 1.0\n'
    )
    opt = yaml.safe_load(path.read_text())
    opt['val'].update(val_freq=3)
    opt['val']['metrics'] = {'kill': {'type': 'calculate_and_kill'}}
    path.write_text(yaml.safe_dump({**opt, 'imports': ['metric.py']}))
    code, output = train(path)
    assert code == 143
    assert 'stopped after iteration 3 of 4' in output
    assert '# kill' not in output
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert output.index('# kill') < output.index('iter:       4')


def test_a_run_without_a_seed_resumes_with_the_seed_it_drew(tmp_path):
    path = paired(tmp_path, total_iter=6, manual_seed=None)
    assert train(path, die_after=5)[0] == 9
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert 'iter: 4.' in output
    assert 'not exactly' not in output


def test_a_run_in_the_background_of_a_shell_ignores_ctrl_c(tmp_path):
    """It stops at SIGTERM, and says so: 128 + 15, not 128 + 2."""
    path = paired(tmp_path, total_iter=100000, logger__save_checkpoint_freq=100000)
    process = start(path, in_background=True)
    for number, iteration in ((signal.SIGINT, 3), (signal.SIGTERM, 6)):
        wait_for(path, f'iter: {iteration:7}', process)
        os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 143
    assert 'Traceback' not in output_of(path)


@pytest.mark.usefixtures('keyboard')
def test_a_second_ctrl_c_stops_at_once():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures('keyboard')
def test_a_ctrl_c_that_a_launcher_forwards_counts_once():
    with StopRequest(forwarded=True) as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.number == signal.SIGINT


KILLS = int(os.environ.get('GANZOO_KILLS', 5))


def test_a_run_that_is_killed_at_random_moments_reaches_the_same_weights(tmp_path):
    """SIGKILL, every other time while a checkpoint is written: one is saved after each iteration."""
    last = 20 * KILLS  # enough that no run ends before it is killed
    changes = {'total_iter': last, 'logger__save_checkpoint_freq': 1, 'logger__keep_last': 3, 'val': None}
    uninterrupted = paired(tmp_path / 'uninterrupted', **changes)
    assert train(uninterrupted)[0] == 0
    path, moments, kills, saving = paired(tmp_path / 'killed', **changes), random.Random(0), 0, 0
    while True:
        process = start(path, *(['--auto_resume'] if kills else []))
        if kills < KILLS:
            wait_for(path, 'Training on', process)
            time.sleep(moments.uniform(0.1, 0.6))
            saving += until_it_saves(path.parent, process) if kills % 2 else 0
            process.kill()
            process.join()
            kills += process.exitcode == -signal.SIGKILL
        process.join(200)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL, output_of(path)
    assert kills == KILLS
    assert saving
    print(f'{kills} kills, {saving} of them while it saved')
    expected, found = (results(folder.parent, 'latest', state=last) for folder in (uninterrupted, path))
    assert differences(expected, found) == []
    states = tmp_path / 'killed/experiments/gan_x4/training_states'
    assert sorted(int(state.stem) for state in states.iterdir()) == [last - 2, last - 1, last]


def until_it_saves(folder, process):
    """Wait for a partial file; False if none was caught."""
    for _ in range(100000):
        if list((folder / 'experiments').rglob('.part-*')):
            return True
        if not process.is_alive():
            return False
    return False


def test_waiting_for_data_is_reported_once(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, 'STABLE_AFTER', 2)
    monkeypatch.setattr(loop, 'MAX_WAITING', 0.0)
    code, output = train(paired(tmp_path, total_iter=5))
    assert code == 0, output
    assert output.count('% of the time is waiting for data; raise datasets.train.num_worker_per_gpu (2)') == 1


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize('damage', ['half a state', 'half a network', 'no network', 'nan in a network', 'text'])
def test_a_damaged_newest_checkpoint_is_reported_and_the_previous_one_is_used(damage, trained, tmp_path):
    path = copied(trained, tmp_path)
    home = tmp_path / 'experiments/gan_x4'
    victim = home / ('models/net_g_4.pth' if 'network' in damage else 'training_states/4.state')
    content = {'no network': None, 'text': b'no state'}.get(damage, victim.read_bytes()[:1000])
    networks = torch.load(victim, weights_only=True)
    victim.unlink()
    if damage == 'nan in a network':
        next(iter(networks['params'].values())).fill_(float('nan'))
        torch.save(networks, victim)
    elif content:
        victim.write_bytes(content)
    expected = {'no network': 'is not a file', 'nan in a network': 'not finite'}.get(damage, 'damaged')
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert '4.state is damaged' in output
    assert expected in output
    assert 'iter: 2.' in output
    assert 'resuming from' in output


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    path = paired(folder, total_iter=4, logger__save_checkpoint_freq=2, datasets__train__num_worker_per_gpu=0)
    assert train(path)[0] == 0
    return path


def copied(path, folder):
    shutil.copytree(path.parent / 'experiments', folder / 'experiments')
    return Path(shutil.copy(path, folder))


def test_an_existing_run_is_neither_overwritten_nor_renamed_without_fresh(trained, tmp_path):
    path = copied(trained, tmp_path)
    home = tmp_path / 'experiments/gan_x4'
    before = sorted(tmp_path.rglob('*'))
    code, output = train(path)
    assert code == 1
    assert (
        f'error: {home} holds a run up to iteration 4; continue with --auto_resume, restart with --fresh, which '
        'renames that run, or change name\n'
    ) in output
    assert sorted(set(tmp_path.rglob('*')) - {tmp_path / 'output.txt'}) == before
    code, output = train(path, '--fresh')
    assert code == 0, output
    (archived,) = home.parent.glob('gan_x4_archived_*')
    assert (archived / 'training_states/4.state').is_file()
    assert len(iterations(output)) == 4


def test_networks_without_a_state_are_not_overwritten(trained, tmp_path):
    path = copied(trained, tmp_path)
    shutil.rmtree(tmp_path / 'experiments/gan_x4/training_states')
    for flags in ([], ['--auto_resume']):
        code, output = train(path, *flags)
        assert code == 1
        assert 'holds net_g_latest.pth but no training state to resume from; restart with --fresh' in output


@pytest.mark.parametrize('flags', [[], ['--auto_resume'], ['--fresh']])
def test_a_folder_with_a_running_training_is_refused(flags, tmp_path):
    path = paired(tmp_path, total_iter=100000, logger__save_checkpoint_freq=1, val=None)
    first = start(path, output='first.txt')
    states = tmp_path / 'experiments/gan_x4/training_states'
    while not list(states.glob('*.state')):
        assert first.is_alive()
        time.sleep(0.02)
    code, output = train(path, *flags)
    assert code == 1
    assert output.splitlines()[-1] == (
        f'error: a training is running in {states.parent}; wait for its end, stop it, or change name'
    )
    assert first.is_alive()
    first.kill()  # this releases the lock, although its workers live a while longer
    first.join()
    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=1')
    assert code == 0, output


def test_a_run_resumes_with_its_own_copy_of_the_option_file(trained, tmp_path):
    copied(trained, tmp_path)
    kept = tmp_path / 'experiments/gan_x4/option.yml'
    before = kept.read_bytes()
    root = f'path:experiments_root={tmp_path / "experiments"}'
    code, output = train(kept, '--auto_resume', '--force_yml', root, 'train:total_iter=5')
    assert code == 0, output
    assert iterations(output) == [5]
    assert kept.read_bytes() == before
    code, output = train(kept, '--fresh', '--force_yml', root)
    assert code == 1
    assert f'--fresh would rename the folder of {kept}; copy that file elsewhere, and train with the copy' in output
    assert kept.is_file()


def test_two_runs_renamed_within_one_second_get_two_names(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_dir, 'get_time_str', lambda: 'now')
    for _ in range(3):
        (tmp_path / 'run').mkdir()
        (tmp_path / 'run/file').write_text('')
        experiment_dir._archive(tmp_path / 'run')
    names = ['run_archived_now', 'run_archived_now_2', 'run_archived_now_3']
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_resuming_from_elsewhere_or_from_an_earlier_state_overwrites_nothing(trained, tmp_path):
    path = copied(trained, tmp_path)
    states = tmp_path / 'experiments/gan_x4/training_states'
    longer = 'train:total_iter=5'
    for earlier in (states / '2.state', trained.parent / 'experiments/gan_x4/training_states/4.state'):
        before = {file: file.read_bytes() for file in tmp_path.rglob('*.pth')}
        code, output = train(path, '--force_yml', f'path:resume_state={earlier}', longer)
        assert code == 1
        assert (
            f'holds a run up to iteration 4, which a run resumed from {earlier} would overwrite; change name' in output
        )
        assert before == {file: file.read_bytes() for file in tmp_path.rglob('*.pth')}
    for name, state in (('gan_x4', '4.state'), ('another', '2.state')):
        code, output = train(path, '--force_yml', f'path:resume_state={states / state}', longer, f'name={name}')
        assert code == 0, output
        assert (tmp_path / f'experiments/{name}/models/net_g_5.pth').is_file()
        assert f'iter: {state[0]}.' in output


def test_auto_resume_starts_from_the_given_state_and_then_from_its_own(trained, tmp_path):
    path = copied(trained, tmp_path)
    given = f'path:resume_state={tmp_path}/experiments/gan_x4/training_states/4.state'
    for total, begins in ((5, 4), (6, 5)):
        changes = ('name=another', given, f'train:total_iter={total}')
        code, output = train(path, '--auto_resume', '--force_yml', *changes)
        assert code == 0, output
        assert f'iter: {begins}.' in output
        assert iterations(output) == [total]


def test_fresh_and_auto_resume_contradict(trained, tmp_path):
    code, output = train(copied(trained, tmp_path), '--fresh', '--auto_resume')
    assert code == 1
    assert '--fresh starts a new run, but --auto_resume or path.resume_state continues one' in output


def test_a_finished_run_has_nothing_to_do_and_can_be_extended(trained, tmp_path):
    path = copied(trained, tmp_path)
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert 'all 4 iterations are done' in output
    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=5')
    assert code == 0, output
    assert iterations(output) == [5]
    assert (tmp_path / 'experiments/gan_x4/training_states/5.state').is_file()


def test_a_state_of_basicsr_is_resumed_with_a_warning(trained, tmp_path):
    path = copied(trained, tmp_path)
    file = tmp_path / 'experiments/gan_x4/training_states/4.state'
    state = torch.load(file, weights_only=True)
    keys = ('epoch', 'iter', 'optimizers', 'schedulers')
    torch.save({key: state[key] for key in keys}, file)
    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=6')
    assert code == 0, output
    assert iterations(output) == [5, 6]
    assert 'resuming, but not exactly as without a stop: models and states of BasicSR keep no random state' in output


def test_a_model_of_basicsr_trains_and_resumes_at_the_start_of_an_epoch(tmp_path):
    """Its states hold iteration, optimizers and schedulers, and our models can resume from them."""
    path = stock(tmp_path, total_iter=4)
    assert train(path)[0] == 0
    code, output = train(path, '--auto_resume', '--force_yml', 'train:total_iter=6')
    assert code == 0, output
    assert 'iter: 4.' in output
    assert 'keep no random state and no position in the data; the epoch restarts' in output
    assert iterations(output) == [5, 6]
    none = dict.fromkeys(('train__d_reg_opt', 'train__gan_weight_opt'))
    code, output = train(paired(tmp_path, total_iter=8, **none), '--auto_resume')
    assert code == 0, output
    assert iterations(output) == [7, 8]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ('datasets:train:batch_size_per_gpu=3', 'batch_size was 2 and is 3'),
        ('manual_seed=7', 'seed was 0 and is 7'),
    ],
)
def test_what_makes_a_resume_inexact_is_named(change, words, trained, tmp_path):
    code, output = train(copied(trained, tmp_path), '--auto_resume', '--force_yml', change, 'train:total_iter=6')
    assert code == 0, output
    assert words in output
    assert iterations(output) == [5, 6]


def test_a_full_disk_is_one_sentence_and_the_previous_checkpoint_is_complete(tmp_path):
    """Simulated by a limit on the size of files: the networks fit, the state with the optimizers does not."""
    path = paired(tmp_path, total_iter=4, logger__save_checkpoint_freq=2, datasets__train__num_worker_per_gpu=0)
    assert train(path, '--force_yml', 'train:total_iter=2')[0] == 0
    states = tmp_path / 'experiments/gan_x4/training_states'
    size = (states / '2.state').stat().st_size
    code, output = train(path, '--auto_resume', largest_file=size // 2)
    assert code == 1
    message = output[output.index('error: ') :]
    assert message.startswith(f'error: cannot write {states}/4.state: ')
    assert 'the previous checkpoint is complete' in message
    assert 'Traceback' not in output
    assert [state.name for state in states.iterdir()] == ['2.state']
    code, output = train(path, '--auto_resume')
    assert code == 0, output
    assert iterations(output) == [3, 4]


def with_metric(path, body, **val):
    """Add a custom metric to the validation, every two iterations."""
    (path.parent / 'metric.py').write_text(
        'import os, signal\nfrom basicsr.utils.registry import METRIC_REGISTRY\n\n\n@METRIC_REGISTRY.register()\n'
        f'def own_metric(img, img2):\n    {body}\n'
    )
    opt = yaml.safe_load(path.read_text())
    opt['val'].update(val_freq=2, metrics={'own': {'type': 'own_metric'}}, **val)
    path.write_text(yaml.safe_dump({**opt, 'imports': ['metric.py']}))
    return path


def test_an_error_in_custom_code_ends_the_run_despite_workers(tmp_path):
    code, output = train(with_metric(paired(tmp_path), 'return 1 / 0'))
    assert code == 1
    assert output.rstrip().endswith('ZeroDivisionError: division by zero')


def test_a_validation_image_that_cannot_be_written_is_one_sentence(tmp_path):
    path = with_metric(paired(tmp_path), 'return 1.0', save_img=True)
    (tmp_path / 'experiments/gan_x4/visualization/0/0_2.png').mkdir(parents=True)
    code, output = train(path)
    assert code == 1
    assert 'error: cannot write: Failed in writing images.; free some space, and continue with --auto_resume' in output
    assert 'Traceback' not in output


def test_a_folder_that_cannot_be_created_is_one_sentence(trained, tmp_path):
    path = Path(shutil.copy(trained, tmp_path))
    (tmp_path / 'experiments').write_text('a file')
    code, output = train(path)
    assert code == 1
    assert 'error: cannot write there: ' in output
    assert 'Traceback' not in output


def test_experiments_root_holds_what_is_written_and_resumed(trained, tmp_path):
    path = Path(shutil.copy(trained, tmp_path))
    root = tmp_path / 'elsewhere'
    changes = (f'path:experiments_root={root}', 'logger:use_tb_logger=true')
    assert train(path, '--force_yml', *changes)[0] == 0
    assert not (tmp_path / 'experiments').exists()
    assert not (tmp_path / 'tb_logger').exists()
    assert list((root / 'tb_logger/gan_x4').iterdir())
    changes = (*changes, 'train:total_iter=5')
    code, output = train(path, '--auto_resume', '--force_yml', *changes)
    assert code == 0, output
    assert iterations(output) == [5]
    assert (root / 'gan_x4/models/net_g_5.pth').is_file()


def test_keep_last_must_be_a_whole_number(trained, tmp_path):
    code, output = train(copied(trained, tmp_path), '--fresh', '--force_yml', 'logger:keep_last=0')
    assert code == 1
    assert 'logger.keep_last: this needs to be a whole number from 1, got 0' in output
