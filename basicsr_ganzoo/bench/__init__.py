"""What a training step costs: ours against BasicSR's, from the same option file, step by step in one process."""
