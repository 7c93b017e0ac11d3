"""A training run: loop, data loaders, resume, log, experiment folder and signals."""
