"""Regularizers of the discriminator; importing a file registers its regularizers."""
