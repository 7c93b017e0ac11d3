"""What ``ganzoo demo`` does, step by step: data, training, scores, figures, report."""
