"""Checkpoints for others: the averaged generator alone, as .pth, .safetensors or ONNX."""
