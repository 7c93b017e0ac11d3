"""How the GAN is doing: numbers in the log, and a verdict in words when a rule has held for a while."""
