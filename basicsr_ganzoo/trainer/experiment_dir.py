"""The folder of an experiment: created, locked, renamed with ``--fresh``, and never overwritten."""

import errno
import itertools
import os
from pathlib import Path

from basicsr.utils import get_time_str

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import NO_ROOM
from basicsr_ganzoo.trainer.checkpoints import remove_parts, states_in

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = '.lock'
#: errors that mean another process holds the lock; others mean that the file system has no locks
TAKEN = (errno.EACCES, errno.EAGAIN)
_held = []  # open files; closing one would release its lock


def prepare(opt, fresh, resuming, option_file):
    """Create and lock the folders of the run; called in the first process.

    Raises:
        OptionError: they hold a run that is neither resumed nor renamed, or that is still running.
    """
    paths = opt['path']
    home, board = Path(paths['experiments_root']), _board(opt)
    if home.is_dir():
        claim(home)
    if fresh:
        if home.resolve() in Path(option_file).resolve().parents:
            raise OptionError(
                f'--fresh would rename the folder of {option_file}; copy that file elsewhere, and train with the copy'
            )
        for folder in (home, board):
            _archive(folder)
    elif resuming:
        _refuse_earlier_state(opt, home)
    else:
        _refuse_to_overwrite(opt, home)
    for name in ('models', 'training_states', 'visualization'):
        _make(paths[name])
    claim(home)
    remove_parts(paths)


def _make(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise OptionError(f'cannot write there: {error}') from error
    if not os.access(folder, os.W_OK):  # better to know now than at the first save
        raise OptionError(f'cannot write there: {folder} is not writable')


def claim(home):
    """Lock a folder for the lifetime of this process.

    A POSIX lock ends with the process, however it ends, and is not inherited by the workers of data loaders.

    Raises:
        OptionError: a running training holds the lock.
    """
    if fcntl is None:
        return
    file = open(home / LOCK, 'a')  # noqa: SIM115
    _held.append(file)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            raise OptionError(f'a training is running in {home}; wait for its end, stop it, or change name') from error


def _board(opt):
    return Path(opt['root_path']) / 'tb_logger' / opt['name']


def _archive(folder):
    if folder.exists():
        new_name = _free(folder.with_name(f'{folder.name}_archived_{get_time_str()}'))
        folder.rename(new_name)
        print(f'{folder} is now {new_name}')


def _free(folder):
    """A name that is free: two runs may be renamed within one second."""
    names = itertools.chain([folder], (folder.with_name(f'{folder.name}_{number}') for number in itertools.count(2)))
    return next(name for name in names if not name.exists())


def _refuse_earlier_state(opt, home):
    """Raise ``OptionError`` if resuming from elsewhere, or from an earlier state, would overwrite a later state."""
    states, resumed = states_in(opt['path']['training_states']), Path(opt['path']['resume_state'])
    if states and not opt['auto_resume'] and not resumed.samefile(states[0]):
        raise OptionError(
            f'{home} holds a run up to iteration {states[0].stem}, which a run resumed from {resumed} would '
            'overwrite; change name to continue in a folder of its own, or continue with --auto_resume'
        )


def _refuse_to_overwrite(opt, home):
    states = states_in(opt['path']['training_states'])
    networks = sorted(path.name for path in Path(opt['path']['models']).glob('net_g_*.pth'))
    if states and not opt['auto_resume']:
        raise OptionError(
            f'{home} holds a run up to iteration {states[0].stem}; continue with --auto_resume, restart with --fresh, '
            'which renames that run, or change name'
        )
    # A single network without a state is left by a kill during the first save; more are results to keep.
    if len(networks) > 1 or 'net_g_latest.pth' in networks or (networks and not opt['auto_resume']):
        raise OptionError(
            f'{home} holds {networks[-1]} but no training state to resume from; restart with --fresh, which '
            'renames this folder, or change name'
        )
