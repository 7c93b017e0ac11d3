"""A training from its options to its end: folders, log, data, model, resuming, and the loop."""

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


def train(opt, args, root):
    """Train what ``opt``, the content of a checked option file, describes; write below ``root``.

    Raises:
        OptionError: a mistake of the user's.
        Stopped: a signal came, and what was reached is saved.
    """
    if args.launcher != 'none':
        distributed.start(args.launcher, opt.get('dist_params'))
    runtime.complete(opt, args, root)
    try:
        _train(opt, args)
    except Stopped:
        distributed.stop()
        raise
    except Exception as error:
        _let_workers_end(error)
        if not (isinstance(error, RuntimeError) and distributed.is_lost(error)):
            raise
        raise OptionError(
            'another of the processes has ended, and its message, if it left one, says why; go on from the last '
            'checkpoint with --auto_resume'
        ) from error
    distributed.stop()


def _seed(opt, saved_seed=None):
    """Seed all random numbers; without ``manual_seed`` by that of the run to go on with, or by chance."""
    if opt.get('manual_seed') is None:
        chosen = saved_seed if saved_seed is not None else random.SystemRandom().randint(1, 10000)
        opt['manual_seed'] = distributed.of_first(lambda: chosen)
    set_random_seed((opt['manual_seed'] + opt['rank']) % 2**32)


def _let_workers_end(error):
    """Drop the data loaders that the frames of an error hold; Python would wait at its end for their workers."""
    while error:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _train(opt, args):
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
        Loop(opt, model, data, validation, tb_logger, iteration, start).run()


def _resume(opt, model, data, state, logger):
    """Give ``model`` the state. Returns the iteration and the position to go on from."""
    iteration = state['iter']
    logger.info(f'Resuming training from epoch: {state["epoch"]}, iter: {iteration}.')
    try:
        model.resume_training(state)
    except OptionError:
        raise
    except (AssertionError, KeyError, ValueError) as error:
        raise OptionError(
            f'{opt["path"]["resume_state"]} does not fit the option file ({error}); put its optimizers and schedulers '
            'back, or start anew from its networks with path.pretrain_network_g'
        ) from error
    saved, now = state.get('loop'), data.identity()
    changed = [key for key in now if saved and saved[key] != now[key]]
    steady = saved and not changed
    part = _part_of_rank(opt, model, state) if steady else None
    if part:
        model.resume_rank(part)
    else:
        _say_inexact(saved, now, changed, logger)
    return iteration, data.start(saved['epoch'], saved['batch']) if steady else data.start(state['epoch'])


def _part_of_rank(opt, model, state):
    """What this process has for itself, or None for models of BasicSR's, which have nothing."""
    if not ('rank' in state and hasattr(model, 'resume_rank')):
        return None
    if opt['rank'] == 0:
        return state['rank']
    return load_file(rank_file(os.path.dirname(opt['path']['resume_state']), state['iter'], opt['rank']))


def _say_inexact(saved, now, changed, logger):
    why = ', '.join(f'{key} was {saved[key]} and is {now[key]}' for key in changed)
    if not saved:
        why = 'the state has no random numbers and no place among the pictures, as those of BasicSR'
    anew = '; the epoch begins anew' if why else ''
    why = why or "the random numbers of BasicSR's models are not saved, so that what they draw themselves is drawn anew"
    logger.warning(f'going on, but not exactly as without a stop: {why}{anew}')
