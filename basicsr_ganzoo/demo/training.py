"""The two training stages of the demo: the option files in options/demo, run by the trainer."""

import copy
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import yaml

from basicsr_ganzoo.config.shipped import options_root
from basicsr_ganzoo.files import whole_file
from basicsr_ganzoo.trainer import Observer, TerminalBar, train

TITLES = {'l1': 'stage 1, L1', 'gan': 'stage 2, GAN'}
PROGRESS_LINES = 5  # per stage


class Curves(Observer):
    """Collects the log of a stage as a list of dicts with ``iter`` and the metrics, and prints the progress."""

    def __init__(self, title):
        self.title, self.log, self.total = title, [], 0

    def on_start(self, opt, iteration):
        self.total = opt['train']['total_iter']

    def on_log(self, iteration, log):
        self.log.append({'iter': iteration, **log})

    def on_step(self, iteration, model, seconds, data_seconds):
        if iteration % -(-self.total // PROGRESS_LINES) == 0 or iteration == self.total:
            loss, left = self.log[-1]['l_g_pix'], seconds * (self.total - iteration)
            print(f'{self.title}: {iteration}/{self.total}, L1 loss {loss:.4f}, ETA {left:.0f} s', flush=True)


def stage_options(out, iters, seed):
    """The option files of both stages, by stage, with output folder, iterations and seed of this demo."""
    opts = {}
    for stage in TITLES:
        text = (options_root() / 'demo' / f'demo_{stage}.yml').read_text(encoding='utf-8')
        opts[stage] = opt = yaml.safe_load(text)
        for phase, split in (('train', 'train'), ('val', 'test')):
            folders = {f'dataroot_{kind}': str(out / 'data' / split / kind) for kind in ('gt', 'lq')}
            opt['datasets'][phase].update(folders)
    opts['gan']['path']['pretrain_network_g'] = str(out / 'net_g_l1.pth')
    lengths = split_iterations(iters, *(opt['train']['total_iter'] for opt in opts.values()))
    for opt, length in zip(opts.values(), lengths, strict=True):
        opt['manual_seed'] = seed
        opt['train']['total_iter'] = length
        opt['train']['scheduler']['periods'] = [length]
        opt['logger']['print_freq'] = 10 if length >= 100 else 1
        opt['val'].update(val_freq=length, save_img=True)
    return opts


def split_iterations(iters, first, second):
    """Split ``iters`` (None: ``first + second``) in the proportion of ``first`` and ``second``, at least 1 each."""
    if iters is None:
        return first, second
    head = min(max(round(iters * first / (first + second)), 1), iters - 1)
    return head, iters - head


def train_stage(stage, opt, out):
    """Train a stage; write its option file and its generator to ``out``.

    Returns:
        The log of :class:`Curves`, and the averaged generator's held-out images, BGR in 8 bits, by name.
    """
    option_file, curves = out / f'demo_{stage}.yml', Curves(TITLES[stage])
    with whole_file(option_file) as part:
        header = f'# What `ganzoo demo` ran. To train with it again: ganzoo train -opt {option_file}\n'
        part.write_text(header + yaml.safe_dump(opt, sort_keys=False), encoding='utf-8')
    flags = SimpleNamespace(opt=str(option_file), launcher='none', auto_resume=False, fresh=False, debug=False)
    with tempfile.TemporaryDirectory(prefix='.training-', dir=out, ignore_cleanup_errors=True) as root:
        train(copy.deepcopy(opt), flags, root, [curves, TerminalBar()])
        home = Path(root) / 'experiments' / opt['name']
        os.replace(home / 'models' / 'net_g_latest.pth', out / f'net_g_{stage}.pth')
        saved = (home / 'visualization').glob(f'*/*_{opt["train"]["total_iter"]}.png')
        return curves.log, {path.parent.name: cv2.imread(str(path)) for path in sorted(saved)}
