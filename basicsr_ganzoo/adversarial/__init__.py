"""One discriminator with its loss, regularizers, views and optimizer: its whole part of a training step."""
