"""What BasicSR's ``parse_options`` makes of an option file, from options that were read and checked before."""

import os
import random

import torch
from basicsr.utils import set_random_seed
from basicsr.utils.dist_util import get_dist_info

from basicsr_ganzoo._pipeline import expanduser, leave_auto_to_the_dataset, usable_gpus
from basicsr_ganzoo.training import distributed

OF_PATH = ('resume_state', 'pretrain_network')


def complete(opt, args, root):
    """Add to ``opt`` what the loop and the models read, as BasicSR names it; start the other processes.

    Args:
        opt: the content of the option file; it is changed.
        args: the command line.
        root: the folder below which the run writes.
    """
    opt['dist'] = args.launcher != 'none'
    if opt['dist']:
        distributed.start(args.launcher, opt.get('dist_params'))
    opt['rank'], opt['world_size'] = get_dist_info()
    opt.update(auto_resume=args.auto_resume, is_train=True, root_path=str(root))
    opt['logger'].setdefault('use_tb_logger', False)
    opt['train']['total_iter'] = int(opt['train']['total_iter'])
    if args.debug:
        _shorten(opt)
    if opt['num_gpu'] == 'auto':
        opt['num_gpu'] = torch.cuda.device_count()
    opt['num_gpu'] = usable_gpus(opt)
    _complete_datasets(opt)
    _complete_paths(opt, root)


def _shorten(opt):
    opt['name'] = f'debug_{opt["name"].removeprefix("debug_")}'
    opt['logger'].update(print_freq=1, save_checkpoint_freq=8)
    if opt.get('val'):
        opt['val']['val_freq'] = 8


def _complete_datasets(opt):
    for name, block in opt['datasets'].items():
        block['phase'] = name.split('_')[0]
        if 'scale' in opt:
            block['scale'] = opt['scale']
        block.update({key: expanduser(block[key]) for key in ('dataroot_gt', 'dataroot_lq') if block.get(key)})
    leave_auto_to_the_dataset(opt['datasets']['train'])


def _complete_paths(opt, root):
    paths = opt['path']
    for key, value in paths.items():
        if value is not None and any(part in key for part in OF_PATH):
            paths[key] = os.path.expanduser(value)
    paths.setdefault('resume_state', None)
    experiments = os.path.expanduser(paths.get('experiments_root') or 'experiments')
    if paths.get('experiments_root'):
        opt['root_path'] = os.path.join(root, experiments)  # below which BasicSR has tb_logger
    home = os.path.join(root, experiments, opt['name'])
    folders = {name: os.path.join(home, name) for name in ('models', 'training_states', 'visualization')}
    paths.update(folders, experiments_root=home, log=home)


def seed(opt, saved_seed=None):
    """Seed all random numbers; without ``manual_seed`` by that of the run to go on with, or by chance."""
    if opt.get('manual_seed') is None:
        chosen = saved_seed if saved_seed is not None else random.SystemRandom().randint(1, 10000)
        opt['manual_seed'] = distributed.of_first(lambda: chosen)
    set_random_seed((opt['manual_seed'] + opt['rank']) % 2**32)
