"""What all views share."""

from torch import nn

from basicsr_ganzoo.errors import OptionError
from basicsr_ganzoo.losses.logits import at_least_float32


class View(nn.Module):
    """Base of the views: what D is shown instead of the plain picture, differentiable, and alike for real and fake.

    A subclass says in ``transform`` what becomes of images and, if it is random, in ``draw`` what it draws for them,
    from ``self.generator``.
    """

    #: a ``torch.Generator``, which an adversary sets; None is torch's global one
    generator = None

    #: the smallest height and width that it takes
    min_size = 1

    def out_channels(self, num_in_ch):
        """Channels of what D is shown; ``network_d.num_in_ch`` has to be this.

        Raises:
            OptionError: the view has no meaning for so many channels.
        """
        return num_in_ch

    def draw(self, image):
        """Draw the random parameters for a batch like ``image`` (N, C, H, W); sample i of each set has the same."""

    def transform(self, image, drawn):
        """What D is shown of ``image`` (N, C, H, W), which is in float32 or finer."""
        raise NotImplementedError

    def forward(self, *images):
        """Transform several batches of one shape with the same random parameters. Returns a tuple of them.

        Half precision is computed in float32, since the small differences that views show are lost in it.
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
