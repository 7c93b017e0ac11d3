"""Regularizers of discriminators; importing a file registers its regularizers."""
