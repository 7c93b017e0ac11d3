"""The demo from the first photograph to the last line of its report."""

import os

import cv2
import torch
from rich.console import Console

from basicsr_ganzoo import __version__
from basicsr_ganzoo.demo import data, figures, progress, report, scores, training
from basicsr_ganzoo.demo.files import LAST, make_folder

TITLES = {'l1': 'stage 1, L1', 'gan': 'stage 2, GAN'}


def run_demo(out, iters, seed):
    """Write a demo to the folder ``out`` and print its report.

    Args:
        out: a path that ``files.check_folder`` has found good.
        iters: iterations of both stages together; None: as in the option files.
        seed: of everything random; the same seed gives the same report.
    """
    threads = torch.get_num_threads()
    # Networks this small gain little from threads, which would burn CPU time and make the sums depend on their number.
    torch.set_num_threads(1)
    console = Console()
    try:
        content = make(out, iters, seed, console)
    finally:
        torch.set_num_threads(threads)
    tell(console, content, out)


def make(out, iters, seed, console):
    """Write all files of the demo. Returns the content of the report."""
    opts = training.stage_options(out, iters, seed)
    scale = opts['l1']['scale']
    make_folder(out)
    (out / LAST).unlink(missing_ok=True)  # it would describe what is being overwritten
    for stage, opt in opts.items():
        training.write_options(opt, out / f'demo_{stage}.yml')
    data.prepare(out, scale)

    restored, logs = {}, {}
    for stage, opt in opts.items():
        with progress.stage_progress(console, TITLES[stage], opt['train']['total_iter']) as update:
            model, logs[stage] = training.train(opt, update)
        training.save(model, out / f'net_g_{stage}.pth')
        restored[stage] = training.restore(model, opt)

    pictures = {name: gather(out, name, restored, scale) for name in restored['l1']}
    content = describe(opts, measure(pictures, scale), logs)
    figures.draw_comparison(pictures, content['pictures'], scale, out / 'comparison.png')
    figures.draw_curves(logs, out / 'curves.png')
    report.write_report(content, out / LAST)
    return content


def gather(out, name, restored, scale):
    """All versions of a held-out picture by method: BGR, 8 bits, (H, W, 3), LQ in its own size."""
    lq, gt = (cv2.imread(str(out / 'data' / 'test' / kind / f'{name}.png')) for kind in ('lq', 'gt'))
    return {
        'lq': lq,
        'bicubic': data.resized(lq, scale),
        **{stage: images[name] for stage, images in restored.items()},
        'gt': gt,
    }


def measure(pictures, scale):
    """The scores by picture and method."""
    return {
        name: {m: scores.score(image, images['gt'], scale) for m, image in images.items() if m != 'lq'}
        for name, images in pictures.items()
    }


def describe(opts, scores_by_picture, logs):
    """The content of the report. It holds no time and no path, so that the same seed gives the same file."""
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
        'pictures': scores_by_picture,
        'mean': report.means(scores_by_picture),
        'last_tenth_of_training': {stage: report.final_values(log) for stage, log in logs.items()},
    }


def tell(console, content, out):
    """Print the table, what it means, where the files are and how long it took."""
    console.print(report.table(content))
    console.print(report.explain(content['mean']), highlight=False)
    rho = content['last_tenth_of_training']['gan']['rho']
    console.print(f"At the end the GAN's gradient at the image was {rho:.2f} of the L1 loss's (rho).", highlight=False)
    for name in ('comparison.png', 'curves.png', LAST, 'net_g_l1.pth', 'net_g_gan.pth', 'demo_l1.yml', 'demo_gan.yml'):
        console.print(str(out / name), highlight=False, soft_wrap=True, markup=False)
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    console.print(f'CPU time: {cpu:.0f} s', highlight=False)
