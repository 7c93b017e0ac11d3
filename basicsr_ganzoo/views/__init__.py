"""What a discriminator is shown instead of the plain picture; importing a file registers its views."""
