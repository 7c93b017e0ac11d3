"""Discriminators, one family per file; importing a file registers its networks."""
