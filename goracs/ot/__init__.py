"""Transport between coreset and validation set: the ground cost, and the exact solver."""
