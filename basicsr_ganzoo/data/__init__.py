"""Datasets that read plain folders of pictures; importing a file registers its dataset."""
