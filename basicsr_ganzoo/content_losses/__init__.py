"""Losses of the generator beside the GAN's; importing a file registers its losses."""
