"""Run a trained generator on images, whole or in tiles."""
