"""Checkpoints on disk: finds the newest complete one and its networks, and removes old ones."""

from pathlib import Path

import torch
from torch.utils._pytree import tree_leaves

from basicsr_ganzoo.engine import distributed
from basicsr_ganzoo.engine.random_state import load_file, rank_file
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import PART
from basicsr_ganzoo.weights import read_file

NEEDED = ('iter', 'epoch', 'optimizers', 'schedulers')


def state_to_resume(opt):
    """The training state to resume from, or None; its networks are set in ``opt['path']``. Equal in all processes.

    With ``auto_resume`` it is the newest complete state of this run or, if there is none, ``path.resume_state``.

    Raises:
        OptionError: the requested state, or every state that was found, is damaged or missing.
    """
    paths = opt['path']
    path = paths['resume_state'] = distributed.of_first(_complete_path, opt)
    if not path:
        return None
    state = load_file(path)
    _take_networks(opt, path, state['iter'])
    return state


def _complete_path(opt):
    """The path of the complete state to resume from, or None."""
    path = _newest_complete(opt) if opt['auto_resume'] else None
    if path or not opt['path']['resume_state']:
        return path
    _check_complete(opt, opt['path']['resume_state'])
    return str(opt['path']['resume_state'])


def states_in(folder):
    """The training states in a folder, newest first."""
    found = [path for path in Path(folder).glob('*.state') if path.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def _newest_complete(opt):
    """The newest state that loads, and whose networks load and are finite; None if there is no state."""
    folder = opt['path']['training_states']
    states = states_in(folder)
    for path in states:
        try:
            _check_complete(opt, path)
        except OptionError as error:
            print(f'{error}; trying the previous state')
            continue
        print(f'resuming from {path}')
        return str(path)
    if states:
        raise OptionError(f'each state in {folder} is damaged; restart with --fresh, which renames this run')
    if not opt['path']['resume_state']:
        print(f'nothing to resume in {folder}')
    return None


def _check_complete(opt, path):
    """Raise ``OptionError`` unless the state, its networks and the parts of other processes are complete.

    With a different number of processes these parts are not used and may be missing.
    """
    state = load_file(path)
    if not (isinstance(state, dict) and set(NEEDED) <= set(state) and isinstance(state['iter'], int)):
        raise OptionError(f'{path} is no training state: it lacks iter, epoch, optimizers or schedulers')
    folder, iteration = _folder_of_networks(opt, path), state['iter']
    try:
        for label in _labels(opt):
            _check_finite(folder / f'{label}_{iteration}.pth')
        for rank in range(1, opt['world_size']) if _needs_parts(opt, state) else ():
            load_file(rank_file(Path(path).parent, iteration, rank))
    except OptionError as error:
        raise OptionError(f'{path} is damaged: {error}') from error


def _check_finite(path):
    """Raise ``OptionError`` if a file has weights that are not finite, which BasicSR's models save."""
    leaves = [leaf for leaf in tree_leaves(read_file(path)) if isinstance(leaf, torch.Tensor)]
    if not all(leaf.isfinite().all() for leaf in leaves):
        raise OptionError(f'{path} has weights that are not finite')


def _needs_parts(opt, state):
    return 'rank' in state and (state.get('loop') or {}).get('processes') == opt['world_size']


def _labels(opt):
    """The labels of all networks that are loaded from the checkpoint, such as net_g."""
    ignored = opt['path'].get('ignore_resume_networks') or ()
    single = [key for key in opt if key.startswith('network_') and key not in ignored]
    names = [f'net_{key.removeprefix("network_")}' for key in single]
    return names + [f'net_d_{name}' for name in opt.get('adversaries') or {}]


def _folder_of_networks(opt, state_path):
    """The folder ``models`` beside the states, as in BasicSR's layout, or that of this run."""
    beside = Path(state_path).resolve().parent.parent / 'models'
    return beside if beside.is_dir() else Path(opt['path']['models'])


def _take_networks(opt, state_path, iteration):
    """Set the paths of the networks to those of the checkpoint, as BasicSR's ``check_resume`` does.

    ``param_key_*`` in the option file belongs to the pretrained files; in a checkpoint ``params`` is what is trained.
    """
    paths, folder = opt['path'], _folder_of_networks(opt, state_path)
    paths['resumed_models'] = str(folder)
    for label in _labels(opt):
        which = label.removeprefix('net_')
        paths[f'pretrain_network_{which}'] = str(folder / f'{label}_{iteration}.pth')
        paths[f'param_key_{which}'] = 'params'


def remove_old(paths, iteration, keep):
    """Remove all but the last ``keep`` checkpoints up to ``iteration``, which is complete.

    A state is removed before its networks, so a half removed checkpoint is never taken for a complete one.
    """
    states = [path for path in states_in(paths['training_states']) if int(path.stem) <= iteration]
    for state in states[keep:]:
        number = state.stem
        networks = Path(paths['models']).glob(f'net_*_{number}.pth')
        for path in (state, *state.parent.glob(f'{number}.rank*'), *networks):
            path.unlink(missing_ok=True)


def remove_parts(paths):
    """Remove partial files of a run that was killed while saving."""
    for folder in (paths['training_states'], paths['models']):
        for path in Path(folder).glob(f'{PART}*'):
            path.unlink(missing_ok=True)
