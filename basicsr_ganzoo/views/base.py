"""Base class of the views: differentiable transforms of the discriminator's input."""

from torch import nn

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.logits import at_least_float32


class View(nn.Module):
    """Base class of the views: a differentiable transform of D's input, the same for real and fake images.

    A subclass implements ``transform`` and, if it is random, ``draw``, which draws its random parameters from
    ``self.generator``.
    """

    #: a ``torch.Generator``, set by an adversary; None is torch's global one
    generator = None

    #: the smallest height and width that it accepts
    min_size = 1

    def out_channels(self, num_in_ch):
        """The number of channels of the result, given those of the image; ``network_d.num_in_ch`` must equal it.

        Raises:
            OptionError: the view is not defined for images of ``num_in_ch`` channels.
        """
        return num_in_ch

    def draw(self, image):
        """Draw the random parameters for a batch like ``image`` (N, C, H, W); real i and fake i share them."""

    def transform(self, image, drawn):
        """Transform ``image`` (N, C, H, W), in float32 or float64, with the result of ``draw``."""
        raise NotImplementedError

    def forward(self, *images):
        """Transform several batches of one shape with the same random parameters. Returns a tuple of the results.

        Half precision is computed in float32, because it would lose the small differences that views compute.

        Raises:
            OptionError: a batch does not have the shape (N, C, H, W), the shapes differ, or H or W is too small.
        """
        self._check(images)
        drawn = self.draw(images[0])
        return tuple(self.transform(at_least_float32(image), drawn).to(image.dtype) for image in images)

    def _check(self, images):
        name, shape = type(self).__name__, tuple(images[0].shape)
        if len(shape) != 4:
            raise OptionError(f'{name} needs images of shape (N, C, H, W), got {shape}')
        for image in images[1:]:
            if image.shape != shape:
                raise OptionError(f'{name} needs real and fake of one shape, got {shape} and {tuple(image.shape)}')
        if min(shape[2:]) < self.min_size:
            raise OptionError(f'{name} needs H and W >= {self.min_size}, got {shape[2]}x{shape[3]}')
        self.out_channels(shape[1])
