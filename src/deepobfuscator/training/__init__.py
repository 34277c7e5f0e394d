"""The game as in the paper, the training loop, the frozen bundle."""
