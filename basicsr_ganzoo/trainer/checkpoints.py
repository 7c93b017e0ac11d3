"""Checkpoints on the disk: the newest whole one, the networks that belong to it, and those that may go."""

from pathlib import Path

import torch
from torch.utils._pytree import tree_leaves

from basicsr_ganzoo.engine import distributed
from basicsr_ganzoo.engine.random_state import load_file, rank_file
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.files import PART
from basicsr_ganzoo.weights.read import read_file

NEEDED = ('iter', 'epoch', 'optimizers', 'schedulers')


def state_to_resume(opt):
    """The training state to go on from, the same in all processes, or None; its networks are set in ``opt['path']``.

    With ``auto_resume`` it is the newest whole one of this run or, before there is one, ``path.resume_state``.

    Raises:
        OptionError: the state that was asked for, or each of those that were found, is damaged or not there.
    """
    paths = opt['path']
    path = paths['resume_state'] = distributed.of_first(_whole_path, opt)
    if not path:
        return None
    state = load_file(path)
    _take_networks(opt, path, state['iter'])
    return state


def _whole_path(opt):
    """The path of the state to go on from, which is whole, or None."""
    path = _newest_whole(opt) if opt['auto_resume'] else None
    if path or not opt['path']['resume_state']:
        return path
    _check_whole(opt, opt['path']['resume_state'])
    return str(opt['path']['resume_state'])


def states_in(folder):
    """The files of the training states in a folder, the newest first."""
    found = [path for path in Path(folder).glob('*.state') if path.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def _newest_whole(opt):
    """The newest state that loads, and whose networks do and are finite; None where there is none at all."""
    folder = opt['path']['training_states']
    states = states_in(folder)
    for path in states:
        try:
            _check_whole(opt, path)
        except OptionError as error:
            print(f'{error}; trying the state before')
            continue
        print(f'resuming from {path}')
        return str(path)
    if states:
        raise OptionError(f'each state in {folder} is damaged; start anew with --fresh, which sets this run aside')
    if not opt['path']['resume_state']:
        print(f'nothing to resume in {folder}')
    return None


def _check_whole(opt, path):
    """Raise ``OptionError`` unless the state, the files of its networks and the parts of other processes are whole.

    With another number of processes these parts are of no use, and may be missing.
    """
    state = load_file(path)
    if not (isinstance(state, dict) and set(NEEDED) <= set(state) and isinstance(state['iter'], int)):
        raise OptionError(f'{path} is no training state: it lacks iter, epoch, optimizers or schedulers')
    folder, iteration = _folder_of_networks(opt, path), state['iter']
    try:
        for label in _labels(opt):
            _check_numbers(folder / f'{label}_{iteration}.pth')
        for rank in range(1, opt['world_size']) if _needs_parts(opt, state) else ():
            load_file(rank_file(Path(path).parent, iteration, rank))
    except OptionError as error:
        raise OptionError(f'{path} is damaged: {error}') from error


def _check_numbers(path):
    """Raise ``OptionError`` if a file of weights has some that are not finite, as BasicSR's models save them."""
    leaves = [leaf for leaf in tree_leaves(read_file(path)) if isinstance(leaf, torch.Tensor)]
    if not all(leaf.isfinite().all() for leaf in leaves):
        raise OptionError(f'{path} has weights that are not finite')


def _needs_parts(opt, state):
    return 'rank' in state and (state.get('loop') or {}).get('processes') == opt['world_size']


def _labels(opt):
    """The stems of the files of all networks that come from the checkpoint."""
    ignored = opt['path'].get('ignore_resume_networks') or ()
    single = [key for key in opt if key.startswith('network_') and key not in ignored]
    names = [f'net_{key.removeprefix("network_")}' for key in single]
    return names + [f'net_d_{name}' for name in opt.get('adversaries') or {}]


def _folder_of_networks(opt, state_path):
    """The folder ``models`` beside the states, where BasicSR has it, or that of this run."""
    beside = Path(state_path).resolve().parent.parent / 'models'
    return beside if beside.is_dir() else Path(opt['path']['models'])


def _take_networks(opt, state_path, iteration):
    """Let the networks be built from the checkpoint, as BasicSR's ``check_resume`` does.

    The keys of the option file are of the files that the training began with; here ``params`` is what is trained.
    """
    paths, folder = opt['path'], _folder_of_networks(opt, state_path)
    paths['resumed_models'] = str(folder)
    for label in _labels(opt):
        which = label.removeprefix('net_')
        paths[f'pretrain_network_{which}'] = str(folder / f'{label}_{iteration}.pth')
        paths[f'param_key_{which}'] = 'params'


def remove_old(paths, iteration, keep):
    """Remove the checkpoints before the last ``keep`` ones up to ``iteration``, which is whole.

    A state goes before its networks, so that what is half removed does not look whole.
    """
    states = [path for path in states_in(paths['training_states']) if int(path.stem) <= iteration]
    for state in states[keep:]:
        number = state.stem
        networks = Path(paths['models']).glob(f'net_*_{number}.pth')
        for path in (state, *state.parent.glob(f'{number}.rank*'), *networks):
            path.unlink(missing_ok=True)


def remove_parts(paths):
    """Remove what a run that was killed while it saved has left half written."""
    for folder in (paths['training_states'], paths['models']):
        for path in Path(folder).glob(f'{PART}*'):
            path.unlink(missing_ok=True)
