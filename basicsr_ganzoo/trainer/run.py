"""Runs a training: folders, log, data, model, resuming, then the loop."""

import os
import random
import traceback

import torch
from basicsr.models import build_model
from basicsr.utils import set_random_seed

from basicsr_ganzoo.config import runtime
from basicsr_ganzoo.engine import distributed
from basicsr_ganzoo.engine.malloc import keep_freed_memory
from basicsr_ganzoo.engine.random_state import load_file, rank_file
from basicsr_ganzoo.errors import OptionError, Stopped
from basicsr_ganzoo.trainer import experiment_dir
from basicsr_ganzoo.trainer.checkpoints import state_to_resume
from basicsr_ganzoo.trainer.loaders import TrainingData, validation_loaders
from basicsr_ganzoo.trainer.log import logs
from basicsr_ganzoo.trainer.loop import Loop
from basicsr_ganzoo.trainer.summary import introduction


def train(opt, args, root, observers=()):
    """Train what ``opt``, the content of a checked option file, describes; write below ``root``.

    Args:
        opt: the options; they are completed in place.
        args: the flags of ``ganzoo train``: opt (path of the option file), launcher, auto_resume, fresh, debug.
        root: folder in which experiments are kept.
        observers: each an :class:`~.observer.Observer`.

    Raises:
        OptionError: a mistake of the user's.
        Stopped: a signal came; the step was finished and saved.
    """
    if args.launcher != 'none':
        distributed.start(args.launcher, opt.get('dist_params'))
    runtime.complete(opt, args, root)
    try:
        _train(opt, args, observers)
    except Stopped:
        distributed.stop()
        raise
    except Exception as error:
        _let_workers_end(error)
        if not (isinstance(error, RuntimeError) and distributed.is_lost(error)):
            raise
        raise OptionError(
            'another of the processes has ended, and its message, if it left one, says why; continue from the last '
            'checkpoint with --auto_resume'
        ) from error
    distributed.stop()


def _seed(opt, saved_seed=None):
    """Seed all random numbers: with ``manual_seed``, or the seed of the resumed run, or a random one."""
    if opt.get('manual_seed') is None:
        chosen = saved_seed if saved_seed is not None else random.SystemRandom().randint(1, 10000)
        opt['manual_seed'] = distributed.of_first(lambda: chosen)
    set_random_seed((opt['manual_seed'] + opt['rank']) % 2**32)


def _let_workers_end(error):
    """Release the data loaders that the frames of an error hold; otherwise Python waits for their workers at exit."""
    while error:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _train(opt, args, observers=()):
    torch.backends.cudnn.benchmark = True
    if not opt['num_gpu']:
        keep_freed_memory()
    state = state_to_resume(opt)
    _seed(opt, ((state or {}).get('loop') or {}).get('seed'))
    distributed.of_first(experiment_dir.prepare, opt, args.fresh, state is not None, args.opt)
    with logs(opt, args.opt) as (logger, tb_logger):
        data, validation = TrainingData(opt), validation_loaders(opt, logger)
        model = build_model(opt)
        iteration, start = _resume(opt, model, data, state, logger) if state else (0, data.start())
        if opt['rank'] == 0:
            logger.info(introduction(opt, model, data, iteration))
        Loop(opt, model, data, validation, tb_logger, iteration, start, observers).run()


def _resume(opt, model, data, state, logger):
    """Load the state into ``model``. Returns the iteration and the position to continue from."""
    iteration = state['iter']
    logger.info(f'Resuming training from epoch: {state["epoch"]}, iter: {iteration}.')
    try:
        model.resume_training(state)
    except OptionError:
        raise
    except (AssertionError, KeyError, ValueError) as error:
        raise OptionError(
            f'{opt["path"]["resume_state"]} does not fit the option file ({error}); restore its optimizers and '
            'schedulers there, or restart from its networks with path.pretrain_network_g'
        ) from error
    saved, now = state.get('loop'), data.identity()
    reason = 'models and states of BasicSR keep no random state and no position in the data'
    if saved and 'rank' in state and hasattr(model, 'resume_rank'):
        reason = ', '.join(f'{key} was {saved[key]} and is {now[key]}' for key in now if saved[key] != now[key])
        if not reason:
            model.resume_rank(_part_of_rank(opt, state))
            return iteration, data.start(saved['epoch'], saved['batch'])
    logger.warning(f'resuming, but not exactly as without a stop: {reason}; the epoch restarts')
    return iteration, data.start(state['epoch'])


def _part_of_rank(opt, state):
    """The part of a checkpoint that belongs to this process."""
    if opt['rank'] == 0:
        return state['rank']
    return load_file(rank_file(os.path.dirname(opt['path']['resume_state']), state['iter'], opt['rank']))
