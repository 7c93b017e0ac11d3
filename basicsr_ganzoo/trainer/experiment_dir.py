"""The folder of an experiment: made, or set aside with ``--fresh``; never taken from a run that is in it."""

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
#: what a system says of a lock that another process has; anything else says that it has no locks
TAKEN = (errno.EACCES, errno.EAGAIN)
_held = []  # open files, with which a lock would go


def prepare(opt, fresh, resuming, option_file):
    """Make the folders that the run writes to, and claim them; for the first of several processes.

    Raises:
        OptionError: a run is in them, and nothing says that it is to go on or to be set aside; or it still runs.
    """
    paths = opt['path']
    home, board = Path(paths['experiments_root']), _board(opt)
    if home.is_dir():
        claim(home)
    if fresh:
        if home.resolve() in Path(option_file).resolve().parents:
            raise OptionError(f'--fresh would set {option_file} aside too; copy it to elsewhere, and train with that')
        for folder in (home, board):
            _set_aside(folder)
    elif resuming:
        _refuse_to_go_back(opt, home)
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
    if not os.access(folder, os.W_OK):  # better now than at the first save
        raise OptionError(f'cannot write there: {folder} is not writable')


def claim(home):
    """Keep other trainings out of a folder for as long as this process lives.

    A lock of POSIX, which ends with the process however it ends, and which the workers of its loaders do not inherit.

    Raises:
        OptionError: a training that runs has it.
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


def _set_aside(folder):
    if folder.exists():
        new_name = _free(folder.with_name(f'{folder.name}_archived_{get_time_str()}'))
        folder.rename(new_name)
        print(f'{folder} is now {new_name}')


def _free(folder):
    """A name that no folder has: two runs may be set aside in one second."""
    names = itertools.chain([folder], (folder.with_name(f'{folder.name}_{number}') for number in itertools.count(2)))
    return next(name for name in names if not name.exists())


def _refuse_to_go_back(opt, home):
    """A run that goes on from elsewhere, or from an earlier state, would write over what is there."""
    states, resumed = states_in(opt['path']['training_states']), Path(opt['path']['resume_state'])
    if states and not opt['auto_resume'] and not resumed.samefile(states[0]):
        raise OptionError(
            f'{home} holds a run up to iteration {states[0].stem}, over which one from {resumed} would write; change '
            'name to go on from there in a folder of its own, or go on with --auto_resume'
        )


def _refuse_to_overwrite(opt, home):
    states = states_in(opt['path']['training_states'])
    networks = sorted(path.name for path in Path(opt['path']['models']).glob('net_g_*.pth'))
    if states and not opt['auto_resume']:
        raise OptionError(
            f'{home} holds a run up to iteration {states[0].stem}; go on with --auto_resume, start anew with --fresh, '
            'which sets that run aside, or change name'
        )
    # One network without a state is what a kill in the first save leaves; more are somebody's results.
    if len(networks) > 1 or 'net_g_latest.pth' in networks or (networks and not opt['auto_resume']):
        raise OptionError(
            f'{home} holds {networks[-1]} but no training state to go on from; start anew with --fresh, which sets '
            'these networks aside, or change name'
        )
