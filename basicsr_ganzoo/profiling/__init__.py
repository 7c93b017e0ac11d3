"""What networks and training steps cost, and the comparison of models side by side."""
