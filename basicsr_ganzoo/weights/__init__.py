"""Weights in files: read, find, convert, check, load, export."""
