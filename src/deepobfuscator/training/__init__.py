"""The game as the paper prints it, the loop that trains it, the frozen bundle."""
