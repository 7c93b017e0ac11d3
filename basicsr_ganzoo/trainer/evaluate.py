"""Runs BasicSR's test pipeline, with support for CPUs and clear errors."""

import importlib
import os
import sys
from types import SimpleNamespace

from basicsr_ganzoo.basicsr_patches import repaired_build_dataset, replaced
from basicsr_ganzoo.config.runtime import expanduser, usable_gpus
from basicsr_ganzoo.engine import distributed


def run_evaluation(argv, root, change):
    """Run BasicSR's test pipeline with ``argv``; ``change`` edits its options; results go to ``root``/results."""
    pipeline = importlib.import_module('basicsr.test')
    repairs = {
        'parse_options': _repaired_parse_options(pipeline.parse_options, change),
        'build_dataset': repaired_build_dataset(pipeline.build_dataset),
    }
    with replaced(pipeline, repairs), replaced(sys, {'argv': argv}):
        pipeline.test_pipeline(root)


def _repaired_parse_options(parse_options, change):
    def parse(root_path, is_train=True):
        paths = SimpleNamespace(**{**vars(os.path), 'expanduser': expanduser})
        with replaced(importlib.import_module('basicsr.utils.options'), {'init_dist': _init_dist, 'osp': paths}):
            opt, args = parse_options(root_path, is_train)
        opt['num_gpu'] = usable_gpus(opt)
        change(opt)
        return opt, args

    return parse


def _init_dist(launcher, **dist_params):
    distributed.start(launcher, dist_params)
