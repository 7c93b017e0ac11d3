"""Sets up BasicSR's log and TensorBoard for a training."""

import contextlib
import logging
import os

from basicsr.train import init_tb_loggers
from basicsr.utils import get_env_info, get_root_logger, get_time_str
from basicsr.utils.options import copy_opt_file, dict2str

from basicsr_ganzoo.errors import OptionError


@contextlib.contextmanager
def logs(opt, option_file):
    """BasicSR's logger and TensorBoard's writer or None; the log begins with the environment and the options.

    Raises:
        OptionError: what ``logger`` asks for is not installed, or is contradictory.
    """
    _keep_option_file(option_file, opt['path']['experiments_root'])
    log_file = os.path.join(opt['path']['log'], f'train_{opt["name"]}_{get_time_str()}.log')
    logger = get_root_logger(logger_name='basicsr', log_level=logging.INFO, log_file=log_file)
    logger.info(get_env_info())
    logger.info(dict2str(opt))
    try:
        writer = init_tb_loggers(opt)
    except (AssertionError, ImportError) as error:
        raise OptionError(f'logger: {error}; correct use_tb_logger or wandb, or install what is missing') from error
    with contextlib.closing(writer) if writer else contextlib.nullcontext():
        yield logger, writer


def _keep_option_file(file, folder):
    """Copy the option file to the experiment, unless the run uses that very copy."""
    if os.path.realpath(os.path.dirname(file)) != os.path.realpath(folder):
        copy_opt_file(file, folder)
