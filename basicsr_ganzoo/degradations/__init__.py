"""Low-quality pictures made while training: the second-order degradation of Real-ESRGAN, as plain modules."""
