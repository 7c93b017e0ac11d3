"""The folder of an experiment: made, or set aside with ``--fresh``; never taken from a run that is in it."""

import os
from pathlib import Path

from basicsr.utils import get_time_str
from basicsr.utils.dist_util import master_only

from basicsr_ganzoo._options import OptionError
from basicsr_ganzoo.training.checkpoints import remove_parts, states_in


@master_only
def prepare(opt, fresh, resuming):
    """Make the folders that the run writes to.

    Raises:
        OptionError: a run is in them, and nothing says that it is to go on or to be set aside.
    """
    paths = opt['path']
    home, board = Path(paths['experiments_root']), _board(opt)
    if fresh:
        for folder in (home, board):
            _set_aside(folder)
    elif not resuming:
        _refuse_to_overwrite(opt, home)
    for name in ('models', 'training_states', 'visualization'):
        os.makedirs(paths[name], exist_ok=True)
    remove_parts(paths)


def _board(opt):
    return Path(opt['root_path']) / 'tb_logger' / opt['name']


def _set_aside(folder):
    if folder.exists():
        new_name = folder.with_name(f'{folder.name}_archived_{get_time_str()}')
        folder.rename(new_name)
        print(f'{folder} is now {new_name}')


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
