"""The log and TensorBoard on a disk that is full: told once, and training goes on."""

import logging
from types import SimpleNamespace

import pytest
from _runs import paired, train

from basicsr_ganzoo.trainer.log import Board, logs

FULL = OSError(28, 'No space left on device')


class Writer:
    """A SummaryWriter whose disk is full from the second number on."""

    def __init__(self):
        self.calls = []

    def add_scalar(self, name, value, iteration):
        self.calls.append(iteration)
        if iteration > 1:
            raise FULL

    def close(self):
        raise FULL


def test_a_board_that_cannot_write_says_so_once(caplog):
    writer = Writer()
    board = Board(writer, logging.getLogger('test'))
    with caplog.at_level(logging.WARNING):
        for iteration in range(1, 5):
            board.add_scalar('loss', 1.0, iteration)
        board.close()
    assert writer.calls == [1, 2]
    told = "TensorBoard's file cannot be written (No space left on device), and training goes on without; make room"
    assert [record.message[: len(told)] for record in caplog.records] == [told]


def test_other_errors_of_a_board_stay_errors():
    board = Board(SimpleNamespace(add_scalar=lambda *args: 1 / 0), logging.getLogger('test'))
    with pytest.raises(ZeroDivisionError):
        board.add_scalar('loss', 1.0, 1)


def test_a_log_file_that_cannot_be_written_says_so_once_and_is_written_again_later(tmp_path, monkeypatch, capsys):
    (tmp_path / 'option.yml').write_text('name: test')
    home = tmp_path / 'experiments'
    home.mkdir()
    opt = {'name': 'test', 'path': {'experiments_root': str(home), 'log': str(home)}, 'logger': {}}
    with logs(opt, str(tmp_path / 'option.yml')) as (logger, board):
        assert board is None
        (handler,) = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        with monkeypatch.context() as disk:
            disk.setattr(handler, 'stream', SimpleNamespace(write=fail, flush=lambda: None))
            for number in range(3):
                logger.info(f'lost line {number}')
        logger.info('a line')
    printed = capsys.readouterr().err
    assert printed.count(f'the log file {handler.baseFilename} cannot be written (No space left on device)') == 1
    assert 'Traceback' not in printed
    assert 'lost line 2' in printed  # on the terminal
    (file,) = home.glob('train_test_*.log')
    assert file.read_text().endswith('a line\n')


def fail(*args):
    raise FULL


def test_a_run_whose_log_has_no_room_goes_on_and_says_so_once(tmp_path, monkeypatch):
    monkeypatch.setattr('basicsr_ganzoo.trainer.log.get_time_str', lambda: 'now')
    path = paired(tmp_path, total_iter=3, val=None, datasets__train__num_worker_per_gpu=0)
    log = tmp_path / 'experiments/gan_x4/train_gan_x4_now.log'
    log.parent.mkdir(parents=True)
    log.symlink_to('/dev/full')
    code, output = train(path)
    assert code == 0, output
    assert output.count(f'the log file {log} cannot be written (No space left on device)') == 1
    assert 'Traceback' not in output
    assert 'iter:       3' in output
    assert (tmp_path / 'experiments/gan_x4/training_states/3.state').is_file()
