"""BasicSR's log and TensorBoard; a disk that is full under them is told once, and training goes on to its next save."""

import contextlib
import logging
import os
import sys
import threading

from basicsr.train import init_tb_loggers
from basicsr.utils import get_env_info, get_root_logger, get_time_str
from basicsr.utils.options import copy_opt_file, dict2str

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import NO_ROOM


@contextlib.contextmanager
def logs(opt, option_file):
    """BasicSR's logger and a :class:`Board` or None, with the options and the environment in the log.

    Raises:
        OptionError: what ``logger`` asks for is not installed or contradicts itself.
    """
    _keep_option_file(option_file, opt['path']['experiments_root'])
    log_file = os.path.join(opt['path']['log'], f'train_{opt["name"]}_{get_time_str()}.log')
    logger = get_root_logger(logger_name='basicsr', log_level=logging.INFO, log_file=log_file)
    _tell_once(logger)
    logger.info(get_env_info())
    logger.info(dict2str(opt))
    try:
        writer = init_tb_loggers(opt)
    except (AssertionError, ImportError) as error:
        raise OptionError(f'logger: {error}; correct use_tb_logger or wandb, or install what is missing') from error
    board = Board(writer, logger) if writer else None
    with _threads_without_traceback():
        try:
            yield logger, board
        finally:
            if board:
                board.close()


def _keep_option_file(file, folder):
    """Copy it beside what it has led to, unless it is that copy: a run may go on with it."""
    if os.path.realpath(os.path.dirname(file)) != os.path.realpath(folder):
        copy_opt_file(file, folder)


def _tell_once(logger):
    """Let a log file that cannot be written say so once; ``logging`` would print a traceback for each line."""
    told = set()

    def tell(handler, error):
        if handler not in told:
            told.add(handler)
            print(_sentence(f'the log file {handler.baseFilename}', error), file=sys.stderr)

    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = lambda record, handler=handler: tell(handler, sys.exc_info()[1])


def _sentence(what, error):
    reason = getattr(error, 'strerror', None) or error
    return f'{what} cannot be written ({reason}), and training goes on without; make room before it saves'


class Board:
    """TensorBoard's writer, which after an error of the disk only says so, once.

    Args:
        writer: a ``SummaryWriter``.
        logger: that of BasicSR's.
    """

    def __init__(self, writer, logger):
        self._writer, self._logger, self._broken = writer, logger, False

    def __getattr__(self, name):
        method = getattr(self._writer, name)
        return lambda *args, **kwargs: None if self._broken else self._attempt(method, *args, **kwargs)

    def _attempt(self, method, *args, **kwargs):
        try:
            return method(*args, **kwargs)
        except OSError as error:
            self._broken = True
            self._logger.warning(_sentence("TensorBoard's file", error))


@contextlib.contextmanager
def _threads_without_traceback():
    """Keep the thread in which TensorBoard writes from printing what :class:`Board` tells."""
    before = threading.excepthook

    def hook(args):
        if getattr(args.exc_value, 'errno', None) not in NO_ROOM:
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
