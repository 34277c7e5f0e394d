"""The networks of the paper's tables 1 and 2, and what lets them fit any features."""
