"""The demo: trains a small generator with L1 and then as a GAN, and compares both on images it has not seen."""
