"""Real-ESRGAN's training: LQ images degraded on the fly, and targets that may be sharpened."""

import torch
from basicsr.data.transforms import paired_random_crop
from basicsr.utils import USMSharp
from basicsr.utils.registry import MODEL_REGISTRY

from basicsr_ganzoo.degradations import SecondOrderDegradation, TrainingPairPool
from basicsr_ganzoo.degradations.kernels import check_same_preset
from basicsr_ganzoo.degradations.presets import check_spelling
from basicsr_ganzoo.engine import Batch
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.models.ganzoo_model import GANZooModel
from basicsr_ganzoo.registry import register

LEAST_GT_SIZE = 26  # sharpening pads the image by reflection of 25 pixels
OTHER_KEYS = ('gt_size', 'high_order_degradation', 'queue_size')


class DegradingModel(GANZooModel):
    """A GANZooModel that makes lq from gt while it trains, unless ``high_order_degradation`` is false.

    A subclass has the names and defaults of its switches in ``switches``, and ``_source_and_target`` returns what is
    degraded to lq and what is used as gt. Validation and testing use the pairs of the dataset as they are.
    """

    switches = {}

    def init_training_settings(self):
        check_spelling(self.opt, (*self.switches, *OTHER_KEYS))
        self.switch = {key: self._read_switch(key, default) for key, default in self.switches.items()}
        self.high_order_degradation = self._read_switch('high_order_degradation', True)
        self.usm_sharpener = USMSharp().to(self.device)
        if self.high_order_degradation:
            self.degradation = SecondOrderDegradation(self.opt).to(self.device)
            check_same_preset(self.opt)
            self.pool = TrainingPairPool(self.opt.get('queue_size', 180))
            self.gt_size = check_gt_size(self.opt)
        super().init_training_settings()

    def _read_switch(self, key, default):
        value = self.opt.get(key, default)
        if not isinstance(value, bool):
            raise OptionError(f'{key} needs to be true or false, got {value!r}')
        return value

    @torch.no_grad()
    def feed_data(self, data):
        """Take a batch of the dataset: gt with kernels, or, in paired mode and outside training, lq with gt."""
        if not self.is_train:
            super().feed_data(data)
        elif self.high_order_degradation:
            _check_batch(data, 'kernel1', 'for pairs of lq and gt set high_order_degradation: false')
            self._degrade(data)
        else:
            _check_batch(data, 'lq', 'to make lq from gt set high_order_degradation: true')
            super().feed_data(data)

    def _degrade(self, data):
        names = ('gt', 'kernel1', 'kernel2', 'sinc_kernel')
        gt, *kernels = (data[name].to(self.device, non_blocking=True) for name in names)
        source, gt = self._source_and_target(gt)
        if min(gt.shape[-2:]) < self.gt_size:
            raise OptionError(f'gt is {"x".join(map(str, gt.shape[-2:]))} pixels, smaller than gt_size {self.gt_size}')
        lq = self.degradation(source, *kernels)
        gt, lq = paired_random_crop(gt, lq, self.gt_size, self.degradation.scale)
        self.lq, self.gt = self.pool(lq, gt)

    def own_state(self):
        """Also the pool of training pairs."""
        pool = {'pool': self.pool.state_dict()} if self.high_order_degradation else {}
        return {**super().own_state(), **pool}

    def load_own_state(self, state):
        """Also fill the pool with the pairs of a checkpoint, if it has some."""
        super().load_own_state(state)
        if self.high_order_degradation and 'pool' in state:
            self.pool.load_state_dict(state['pool'], strict=False)

    def nondist_validation(self, *args):
        """Validate on the pairs of the dataset."""
        self.is_train = False
        try:
            super().nondist_validation(*args)
        finally:
            self.is_train = True


def check_gt_size(opt):
    """The side of the crops that a degrading model trains on.

    Raises:
        OptionError: it is missing, no multiple of the scale, or too small to be sharpened.
    """
    size, scale = opt.get('gt_size'), opt['scale']
    if not isinstance(size, int) or size < LEAST_GT_SIZE or size % scale:
        raise OptionError(
            f'gt_size, at the top level of the option file, needs to be a multiple of the scale {scale} '
            f'from {LEAST_GT_SIZE}, such as {64 * scale}, got {size!r}'
        )
    return size


def _check_batch(data, key, way_out):
    if key not in data:
        raise OptionError(f'the batch has {", ".join(map(str, data))} but no {key}; {way_out}')


@register(MODEL_REGISTRY)
class RealESRGANZooModel(DegradingModel):
    """Real-ESRGAN: a GAN trained on images that are degraded on the fly (arXiv:2107.10833).

    Takes the option files of BasicSR's RealESRGANModel. ``degradation: mild``, ``medium`` or ``real`` sets all
    parameters of the degradation; the file may override single ones. ``high_order_degradation: false`` trains on pairs.
    The switches ``l1_gt_usm`` (default true), ``percep_gt_usm`` (true) and ``gan_gt_usm`` (false) select the losses
    that compare with a sharpened gt; lq is always made from the sharpened gt, and LDL compares with the plain gt.

    Differs from BasicSR: runs on any device; any batch size works with any ``queue_size``; everything in which
    :class:`GANZooModel` differs from SRGANModel. A checkpoint includes the pool of training pairs.
    """

    #: in the order of the targets of a :class:`Batch`
    switches = {'l1_gt_usm': True, 'percep_gt_usm': True, 'gan_gt_usm': False}

    @torch.no_grad()
    def batch(self):
        sharp = self.usm_sharpener(self.gt) if any(self.switch.values()) else self.gt
        return Batch(self.lq, self.gt, *(sharp if self.switch[key] else self.gt for key in self.switches))

    @torch.no_grad()
    def gan_target(self, gt):
        return self.usm_sharpener(gt.to(self.device)) if self.switch['gan_gt_usm'] else gt

    def _source_and_target(self, gt):
        return self.usm_sharpener(gt), gt


@register(MODEL_REGISTRY)
class RealESRNetZooModel(DegradingModel):
    """Real-ESRNet, the PSNR stage of Real-ESRGAN: pixel loss, degradation on the fly, no GAN (arXiv:2107.10833).

    Takes the option files of BasicSR's RealESRNetModel, and the degradation keys of RealESRGANZooModel. ``gt_usm``
    (default true) sharpens gt, both as the target and before the degradation; pairs, with
    ``high_order_degradation: false``, are not changed, as in BasicSR.
    """

    switches = {'gt_usm': True}

    def _source_and_target(self, gt):
        gt = self.usm_sharpener(gt) if self.switch['gt_usm'] else gt
        return gt, gt
