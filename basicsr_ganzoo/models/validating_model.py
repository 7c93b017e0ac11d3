"""The validation of BasicSR's SRModel in less memory, for datasets with gt and without."""

import inspect
import math
from pathlib import Path

import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger, imwrite, tensor2img
from basicsr.utils.registry import METRIC_REGISTRY
from tqdm import tqdm

from basicsr_ganzoo.config.build import check_whole_number, lookup
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.inference import in_tiles
from basicsr_ganzoo.validation import BestCheckpoint, Previews


class ValidatingModel(SRModel):
    """An SRModel that validates in tiles (``val.tile``, in pixels of LQ) and leaves gt on the CPU.

    Metrics that compare with gt are left out for a dataset that has none. While training, ``val.preview`` and
    ``val.keep_best`` request :class:`.previews.Previews` and a :class:`.best.BestCheckpoint`. ``health`` is a health
    report or None.
    """

    health = previews = keeper = None

    def init_validation(self):
        """Prepare the validation of a training; the networks have the weights with which it begins.

        Raises:
            OptionError: a value is wrong.
        """
        self.previews = Previews.of(self.opt, self.validated_net(), self.in_tiles)
        self.keeper = BestCheckpoint.of(self.opt)

    @property
    def best(self):
        """The best validation so far as a plain dict: metric, better, data_set, value, iter; empty without one."""
        return self.keeper.best if self.keeper else {}

    def validated_net(self):
        """The generator that is validated: the averaged one, if there is one, not wrapped for several GPUs."""
        return self.generators()['params_ema' if hasattr(self, 'net_g_ema') else 'params']

    def generators(self):
        """The generator and its average, not wrapped for several GPUs, by their keys in a checkpoint."""
        average = {'params_ema': self.net_g_ema} if hasattr(self, 'net_g_ema') else {}
        return {'params': self.get_bare_model(self.net_g), **average}

    def test(self):
        """Run the generator on ``lq``, and while training let the health report see gt.

        Raises:
            OptionError: there is too little GPU memory, or ``val.tile`` is no whole number.
        """
        self.output = self.in_tiles(self.validated_net(), self.lq)
        if self.health and hasattr(self, 'gt') and self.gt.shape == self.output.shape:
            self.health.held_out.take(self.gan_target(self.gt))

    def in_tiles(self, net, image):
        """The output of ``net``, in evaluation mode, for an image (N, C, H, W), in tiles as ``val.tile`` says."""
        image = image.to(self.device)
        tile = (self.opt.get('val') or {}).get('tile') or 0
        check_whole_number('val.tile', 'the side of a tile, in pixels of LQ,', tile, 0)
        was_training = net.training
        net.eval()
        try:
            return in_tiles(net, image, tile)
        except torch.cuda.OutOfMemoryError as error:
            size = 'x'.join(map(str, image.shape[-2:]))
            smaller = min(tile or 512, *image.shape[-2:]) // 2
            raise OptionError(
                f'there is too little GPU memory for a validation image of {size} pixels'
                f'{f" in tiles of {tile}" if tile else ""}; set val.tile: {smaller}'
            ) from error
        finally:
            net.train(was_training)

    def nondist_validation(self, dataloader, current_iter, tb_logger, save_img):
        """Validate on a dataset, with images, metrics and log as in BasicSR.

        Raises:
            OptionError: a metric is not registered, or as :meth:`test`.
        """
        data_set = dataloader.dataset.opt['name']
        self._free_images()  # those of the training step
        scores = {}
        for index, data in enumerate(tqdm(dataloader, unit='image', disable=not self.opt['val'].get('pbar', False))):
            name = Path(data['lq_path'][0]).stem
            visuals = self._run_on(data)
            images = {key: tensor2img([visuals[key]]) for key in ('result', 'gt') if key in visuals}
            if save_img:
                imwrite(images['result'], str(self._image_path(data_set, name, current_iter)))
            for metric, value in self._measure(images).items():
                scores.setdefault(metric, []).append(value)
            if self.previews and index < self.previews.count:
                self.previews.write(data_set, f'{index:03d}_{name}', visuals, current_iter, tb_logger)
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()  # blocks of sizes that training does not use
        self._report(data_set, scores, current_iter, tb_logger)
        if self.health:
            self.health.end_of_validation(data_set, current_iter, tb_logger)
        if self.keeper:
            self.keeper.update(self.generators(), data_set, self.metric_results, current_iter)

    def _run_on(self, data):
        self.feed_data({key: value for key, value in data.items() if key != 'gt'})
        if 'gt' in data:
            self.gt = data['gt']  # stays on the CPU, where metrics are computed
        self.test()
        visuals = self.get_current_visuals()
        self._free_images()
        return visuals

    def _free_images(self):
        for name in ('lq', 'gt', 'output'):
            vars(self).pop(name, None)

    def _measure(self, images):
        pair = {'img': images['result'], **({'img2': images['gt']} if 'gt' in images else {})}
        fitting = {name: block for name, block in self._metrics().items() if 'gt' in images or not _needs_gt(block)}
        return {name: _value(pair, block) for name, block in fitting.items()}

    def _metrics(self):
        return self.opt['val'].get('metrics') or {}

    def _image_path(self, data_set, name, current_iter):
        folder = Path(self.opt['path']['visualization'])
        if self.opt['is_train']:
            return folder / name / f'{name}_{current_iter}.png'
        return folder / data_set / f'{name}_{self.opt["val"].get("suffix") or self.opt["name"]}.png'

    def _report(self, data_set, scores, current_iter, tb_logger):
        self.metric_results = {name: sum(values) / len(values) for name, values in scores.items()}
        _warn_of_missing_values(data_set, scores)
        missing = [name for name in self._metrics() if name not in scores]
        if missing:
            get_root_logger().info(f'Validation {data_set}: without gt there is no {", ".join(missing)}')
        if scores:
            self._initialize_best_metric_results(data_set)
            for name, value in self.metric_results.items():
                self._update_best_metric_result(data_set, name, value, current_iter)
            self._log_validation_metric_values(current_iter, data_set, tb_logger)


def _value(pair, block):
    """The value of a metric; nan where it has none, such as NIQE of a flat image from an untrained generator."""
    try:
        return calculate_metric(pair, block)
    except np.linalg.LinAlgError:
        return math.nan


def _warn_of_missing_values(data_set, scores):
    for name, values in scores.items():
        none = sum(map(math.isnan, values))
        if none:
            reason = f'{none} of {len(values)} images, which are too flat or too small for it'
            get_root_logger().warning(f'Validation {data_set}: {name} has no value for {reason}')


def _needs_gt(block):
    """Whether a metric cannot be computed from the SR image alone."""
    parameter = inspect.signature(lookup(METRIC_REGISTRY, block['type'])).parameters.get('img2')
    return parameter is not None and parameter.default is parameter.empty
