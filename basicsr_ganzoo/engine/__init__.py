"""How a step runs: precision, compilation, accumulation, optimizers, EMA, non-finite guard, processes, random state."""
