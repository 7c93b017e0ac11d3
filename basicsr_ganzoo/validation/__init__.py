"""What happens in a validation: pictures in tiles, metrics, previews, and the best checkpoint."""
