"""Online degradation: LQ images made from GT during training, by the second-order degradation of Real-ESRGAN."""
