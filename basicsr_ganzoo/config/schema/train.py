"""Keys of `train`, and those of a discriminator, which are below `train` or in a block of `adversaries`."""

import difflib
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from basicsr_ganzoo.config.schema.base import (
    GANS,
    OURS,
    Block,
    Blocks,
    Decay,
    File,
    Keys,
    Loss,
    NamedBlocks,
    Numbers,
    Precision,
    Size,
    SizeOrZero,
    key,
    required,
)
from basicsr_ganzoo.config.types import Count, Number, Positive, Whole


class DiscriminatorKeys(Keys):
    """How one discriminator trains."""

    gan_opt: Loss = key(None, 'GAN loss; its loss_weight is that of G', GANS)
    optim_d: Block = key(None, 'optimizer of D', GANS)
    d_reg_opt: NamedBlocks = key(None, 'regularizers of D by any name', OURS)
    views: Blocks = key(None, 'what D sees in place of the plain image, such as WaveletView', OURS)
    feature_matching_opt: Loss = key(None, "FeatureMatchingLoss, on D's feature maps", OURS)
    gan_weight_opt: Block = key(None, 'GANWeightRamp or GANWeightTargetRho, a factor of the GAN weight', OURS)
    grad_clip_d: Positive = key(None, "norm to which D's gradient is clipped", OURS)
    net_d_weight_clip: Positive = key(None, "D's weights stay in [-x, x], as in WGAN", OURS)
    net_d_freeze: SizeOrZero = key(0, 'the first n layers of D are not trained', OURS)
    net_d_ema_decay: Decay = key(0, 'decay of a moving average of D, saved as params_ema', OURS)
    net_d_skip_accuracy: Annotated[Number, Field(ge=0.5, le=1)] = key(
        None, 'D is not updated while it classifies a larger share of the images correctly', OURS
    )


class Adversary(DiscriminatorKeys):
    """One of several discriminators, with all that belongs to it."""

    network_d: Block = required('discriminator')
    gan_opt: Loss = required('GAN loss; its loss_weight is that of G')
    optim_d: Block = required('optimizer of D')
    pretrain_network_d: File = key(None, 'file or URL of weights that D starts from')
    param_key_d: str = key('params', 'key of the weights in that file')
    strict_load_d: bool = key(True, 'all weights of that file have to fit')


class Health(Keys):
    """How often the health report looks."""

    freq: Size = key(100, 'iterations between two looks at the rules')
    probe_freq: Size = key(1000, 'iterations between two measurements of R1 and the spectral norms')
    hold: Size = key(1000, 'iterations that a rule has to hold for before it is reported')


class Compile(Keys):
    """Arguments of `torch.compile`."""

    backend: str = key('inductor', 'backend of torch.compile')
    mode: str = key('default', 'mode of torch.compile; those with CUDA graphs are refused')
    dynamic: bool = key(None, 'compile for free sizes')
    fullgraph: bool = key(False, 'compile a network as one graph or not at all')
    options: Annotated[dict, "a mapping of inductor's options"] = key(None, "inductor's options, in place of mode")


class Scheduler(Block):
    """A scheduler of the learning rates."""

    milestones: Numbers = key(None, 'of MultiStepLR: iterations at which lr is multiplied by gamma')
    periods: Numbers = key(None, 'of CosineAnnealingRestartLR: iterations of each cosine')
    restart_weights: Numbers = key([1], 'of CosineAnnealingRestartLR: factors of lr, one for each period')


class Train(DiscriminatorKeys):
    """Losses, optimizers and the course of a training. Any other `NAME_opt` is a further loss of G."""

    model_config = ConfigDict(extra='allow')
    open_to: ClassVar = '_opt$'
    further_read_by: ClassVar = OURS
    __pydantic_extra__: dict[str, Loss]

    total_iter: Count = required('iterations')
    warmup_iter: Annotated[Whole, 'a whole number, -1 for no warm-up'] = key(-1, 'iterations of a growing lr')
    optim_g: Block = required('optimizer of G, any of torch.optim but LBFGS and SparseAdam')
    scheduler: Scheduler = required('MultiStepLR or CosineAnnealingRestartLR')
    ema_decay: Decay = key(0, 'decay of the moving average of G, which is validated and saved as params_ema')
    net_d_iters: Size = key(1, 'G is updated in each n-th iteration, D in all', GANS)
    net_d_init_iters: SizeOrZero = key(0, 'D trains alone in the first n iterations', GANS)
    pixel_opt: Loss = key(None, 'loss of SR and GT, such as L1Loss')
    perceptual_opt: Block = key(None, 'PerceptualLoss on features of VGG')
    ldl_opt: Loss = key(None, 'LDL, the loss of artifacts; needs ema_decay', GANS)
    ldl_detach_map: bool = key(True, "LDL's map is a weight without a gradient; false as in BasicSR", OURS)
    grad_clip_g: Positive = key(None, "norm to which G's gradient is clipped", OURS)
    max_bad_steps: Size = key(10, 'steps in a row that are not finite, after which training stops', OURS)
    health_opt: Annotated[bool | Health, 'true, false or a mapping'] = key(True, 'the health report', OURS)
    amp: Precision = key('off', 'precision of the passes through the networks', OURS)
    channels_last: bool = key(False, 'memory format of the networks', OURS)
    compile: Annotated[bool | Compile, 'true, false or a mapping such as mode: default'] = key(
        False, 'compile the networks; true, or arguments of torch.compile', OURS
    )
    accumulate: Size = key(1, 'parts that a batch is computed in: the same gradients, less memory', OURS)
    grad_checkpoint: bool = key(False, "recompute G's body in the backward pass: less memory, slower", OURS)

    @classmethod
    def takes(cls, name):
        """A near miss of a declared key is no further loss."""
        stems = [known.removesuffix('_opt') for known in cls.model_fields if known.endswith('_opt')]
        near = difflib.get_close_matches(name.removesuffix('_opt'), stems, 1, cutoff=0.75)
        return super().takes(name) and not near
