"""What a model is built of: the networks, losses, adversaries and optimizers that an option file names."""

import math

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_ganzoo.adversarial import AdversaryBuilder, adversaries_of
from basicsr_ganzoo.adversarial.builder import check_weights
from basicsr_ganzoo.config.build import build, check_number, check_whole_number
from basicsr_ganzoo.engine import MovingAverage, Placement, Precision, SpeedOptions, StepGuard, build_optimizer
from basicsr_ganzoo.engine.snapshot import Snapshot, buffers_of
from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.health import HealthReport
from basicsr_ganzoo.models.checkpointing_model import CheckpointingModel
from basicsr_ganzoo.models.content_losses import ContentLosses
from basicsr_ganzoo.weights import load_checkpoint


class BuildingModel(CheckpointingModel):
    """Builds everything that a training consists of; a subclass takes the steps."""

    def __init__(self, opt):
        super(SRModel, self).__init__(opt)
        self.speed = SpeedOptions.of(opt)
        self.precision = Precision(self.speed.amp, self.device, self.speed.compile)
        self.placement = Placement(opt, self.device, self.speed.channels_last)
        net_g = build(ARCH_REGISTRY, opt['network_g'], 'network_g')
        self.net_g = self.placement.wrap(self.speed.checkpointed(net_g))
        self.print_network(self.net_g)
        self._load_pretrained(self.net_g, self.opt['path'].get('param_key_g', 'params'))
        if self.is_train:
            self.init_training_settings()

    def init_training_settings(self):
        train_opt = self.opt['train']
        self.net_g.train()
        self._check_values(train_opt)
        self.ema_decay = train_opt.get('ema_decay', 0)
        if self.ema_decay > 0:
            self._init_ema()
        self.net_d_iters = train_opt.get('net_d_iters', 1)
        self.net_d_init_iters = train_opt.get('net_d_init_iters', 0)
        self.guard = StepGuard(train_opt.get('max_bad_steps', 10))
        with torch.random.fork_rng(devices=[]):  # a discriminator's first weights change no draw of data either
            self.adversaries = {options.label: self._build_adversary(options) for options in adversaries_of(self.opt)}
        adversaries = list(self.adversaries.values())
        average, suffixes = getattr(self, 'net_g_ema', None), [adversary.suffix for adversary in adversaries]
        self.content = ContentLosses(train_opt, self.placement, self.precision, average, suffixes)
        if not adversaries and not self.content:
            raise OptionError('there is nothing to train with: set train.pixel_opt, perceptual_opt or gan_opt')
        check_weights(adversaries, self.content)
        self.setup_optimizers()
        self.setup_schedulers()
        self.buffers = Snapshot(buffers_of(self.net_g, *(part for a in adversaries for part in a.modules)))
        self.health = HealthReport.of(train_opt, adversaries, self.net_g)
        self.init_validation()

    def _check_values(self, train_opt):
        for key, minimum in (('net_d_iters', 1), ('net_d_init_iters', 0)):
            check_whole_number(f'train.{key}', 'the number of iterations', train_opt.get(key, minimum), minimum)
        for key, maximum in (('ema_decay', 1), ('grad_clip_g', math.inf)):
            try:
                check_number(f'train.{key}', 'the value', train_opt.get(key) or 0, 0, maximum)
            except ValueError as error:
                raise OptionError(error) from error

    def _init_ema(self):
        get_root_logger().info(f'Use Exponential Moving Average with decay: {self.ema_decay}')
        net = build(ARCH_REGISTRY, self.opt['network_g'], 'network_g')
        self.net_g_ema = self.placement.to_device(net).eval().requires_grad_(False)
        self.averaging = MovingAverage(self.net_g_ema, self.net_g, self.ema_decay)
        param_keys = ['params_ema', self.opt['path'].get('param_key_g', 'params')]
        if not self._load_pretrained(self.net_g_ema, param_keys):
            self.averaging.move(0)

    def _build_adversary(self, options):
        resumed = bool(self.opt['path'].get('resume_state'))
        adversary = AdversaryBuilder(options, self.placement, self.precision, resumed).build()
        adversary.seed(self.opt.get('manual_seed'), self.opt['rank'])
        self.print_network(adversary.bare)
        return adversary

    def setup_optimizers(self):
        self.optimizer_g = build_optimizer(self.opt['train'].get('optim_g'), 'train.optim_g', self.net_g)
        self.optimizers = [self.optimizer_g, *(adversary.optimizer for adversary in self.adversaries.values())]

    def setup_schedulers(self):
        if not (self.opt['train'].get('scheduler') or {}).get('type'):
            raise OptionError('train.scheduler is missing; it needs a type, MultiStepLR or CosineAnnealingRestartLR')
        try:
            super().setup_schedulers()
        except (NotImplementedError, TypeError, AssertionError) as error:
            raise OptionError(f'train.scheduler: {error}') from error

    def load_network(self, net, load_path, strict=True, param_key='params', label=None):
        """Load a file of weights with :func:`load_checkpoint`; BasicSR's signature, and ``label`` for messages."""
        net = self.get_bare_model(net)
        load_checkpoint(net, load_path, param_key, strict, label or type(net).__name__)

    def _load_pretrained(self, net, param_key):
        paths = self.opt['path']
        if paths.get('pretrain_network_g') is None:
            return False
        try:
            strict = paths.get('strict_load_g', True)
            self.load_network(net, paths['pretrain_network_g'], strict, param_key, label='network_g')
        except OptionError as error:
            raise OptionError(f'path.pretrain_network_g: {error}') from error
        return True
