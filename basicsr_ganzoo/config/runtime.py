"""What BasicSR's ``parse_options`` makes of an option file, from options that were read and checked before."""

import os

import torch
from basicsr.utils.dist_util import get_dist_info
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_ganzoo.errors import OptionError

TORCHRUN = 'torchrun --nproc_per_node {} -m basicsr_ganzoo.train ... --launcher pytorch'
OF_PATH = ('resume_state', 'pretrain_network')


def complete(opt, args, root):
    """Add to ``opt`` what the loop and the models read, as BasicSR names it.

    Args:
        opt: the content of the option file; it is changed.
        args: the command line.
        root: the folder below which the run writes.
    """
    opt['dist'] = args.launcher != 'none'
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


def expanduser(path):
    """A path, or each of a list of paths, with ``~`` resolved."""
    return [os.path.expanduser(each) for each in path] if isinstance(path, list) else os.path.expanduser(path)


def usable_gpus(opt):
    """Without CUDA 0, whatever the option file says; without a launcher at most 1, whatever the machine has."""
    wanted = opt['num_gpu']
    if wanted and not torch.cuda.is_available():
        print('no CUDA device: training on the CPU')
        return 0
    if not opt['dist'] and wanted > 1:
        print(f'training on one of {wanted} GPUs; for all of them: {TORCHRUN.format(wanted)}')
        return 1
    return wanted


def leave_auto_to_the_dataset(block):
    """Remove ``dataset_enlarge_ratio: auto``, which BasicSR would divide by; folder datasets enlarge themselves."""
    if block.get('dataset_enlarge_ratio', 1) not in ('auto', None):
        return
    entry = dict(iter(DATASET_REGISTRY)).get(block['type'])
    if entry is not None and not getattr(entry, 'enlarges_itself', False):
        raise OptionError(
            f'datasets.train: {block["type"]} needs a number as dataset_enlarge_ratio; '
            'only GTFolderDataset and PairedFolderDataset enlarge themselves'
        )
    del block['dataset_enlarge_ratio']
