"""What all views share."""

from torch import nn


class View(nn.Module):
    """Base of the views: what D is shown instead of the plain picture, differentiable, and alike for real and fake.

    A subclass says in ``transform`` what becomes of images and, if it is random, in ``draw`` what it draws for them.
    """

    def out_channels(self, num_in_ch):
        """Channels of what D is shown; ``network_d.num_in_ch`` has to be this."""
        return num_in_ch

    def draw(self, image):
        """Draw the random parameters for a batch like ``image`` (N, C, H, W); sample i of each set has the same."""

    def transform(self, image, drawn):
        """What D is shown of ``image`` (N, C, H, W)."""
        raise NotImplementedError

    def forward(self, *images):
        """Transform several batches of one shape with the same random parameters. Returns a tuple of them."""
        drawn = self.draw(images[0])
        return tuple(self.transform(image, drawn) for image in images)
