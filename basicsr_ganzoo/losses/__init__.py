"""GAN losses; importing a file registers its losses."""
