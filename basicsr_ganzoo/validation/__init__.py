"""What happens in a validation beside metrics: previews, and the best checkpoint."""
