"""Runs the demo, from the photographs to its report."""

import json
import logging
import os

import cv2
import torch
from rich.console import Console

from basicsr_ganzoo import __version__
from basicsr_ganzoo.demo import data, figures, report, scores, training
from basicsr_ganzoo.demo.files import LAST, make_folder
from basicsr_ganzoo.errors import Stopped
from basicsr_ganzoo.files import whole_file


def run_demo(out, iters, seed):
    """Write a demo to the folder ``out`` and print its report.

    Args:
        out: a path that ``files.check_folder`` has accepted.
        iters: iterations of both stages together; None: as in the option files.
        seed: the same seed gives the same report.

    Raises:
        Stopped: SIGINT or SIGTERM came.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads gain little for networks this small, and sums would depend on their number
    logging.disable(logging.INFO)  # of the training; warnings are shown
    try:
        content = _make(out, iters, seed)
    except Stopped as stopped:
        raise Stopped('the demo was stopped; run it again to restart', stopped.code - 128) from None
    finally:
        torch.set_num_threads(threads)
        logging.disable(logging.NOTSET)
    _print(content, out)


def _make(out, iters, seed):
    """Write all files of the demo. Returns the content of the report."""
    opts = training.stage_options(out, iters, seed)
    scale = opts['l1']['scale']
    make_folder(out)
    (out / LAST).unlink(missing_ok=True)  # it would describe files that are being overwritten
    data.prepare(out, scale)
    logs, restored = {}, {}
    for stage, opt in opts.items():
        logs[stage], restored[stage] = training.train_stage(stage, opt, out)
    pictures = {name: _versions(out, name, restored, scale) for name in restored['l1']}
    scored = {
        name: {method: scores.score(image, images['gt'], scale) for method, image in images.items() if method != 'lq'}
        for name, images in pictures.items()
    }
    content = _content(opts, scored, logs)
    figures.draw_comparison(pictures, scored, scale, out / 'comparison.png')
    figures.draw_curves(logs, out / 'curves.png')
    with whole_file(out / LAST) as part:
        part.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    return content


def _versions(out, name, restored, scale):
    """All versions of a held-out image by method: BGR, 8 bits, (H, W, 3); LQ in its own size."""
    lq, gt = (cv2.imread(str(out / 'data' / 'test' / kind / f'{name}.png')) for kind in ('lq', 'gt'))
    bicubic = data.resized(lq, scale)
    return {'lq': lq, 'bicubic': bicubic, **{stage: images[name] for stage, images in restored.items()}, 'gt': gt}


def _content(opts, scored, logs):
    """The content of the report. It has no times and no paths, so the same seed gives the same file."""
    return {
        'settings': {
            'versions': {'basicsr_ganzoo': __version__, 'torch': torch.__version__},
            'seed': opts['l1']['manual_seed'],
            'scale': opts['l1']['scale'],
            'iterations': {stage: opt['train']['total_iter'] for stage, opt in opts.items()},
            'train_pictures': list(data.TRAIN),
            'test_pictures': list(data.TEST),
            'metrics': scores.METHOD,
        },
        'pictures': scored,
        'mean': report.means(scored),
        'last_tenth_of_training': {stage: report.final_values(log) for stage, log in logs.items()},
    }


def _print(content, out):
    """Print the table, what it means, the files and the CPU time."""
    console = Console()
    console.print(report.table(content))
    console.print(report.explain(content), highlight=False)
    for name in ('comparison.png', 'curves.png', LAST, 'net_g_l1.pth', 'net_g_gan.pth', 'demo_l1.yml', 'demo_gan.yml'):
        console.print(str(out / name), highlight=False, soft_wrap=True, markup=False)
    times = os.times()
    console.print(f'CPU time: {sum(times[:4]):.0f} s', highlight=False)
