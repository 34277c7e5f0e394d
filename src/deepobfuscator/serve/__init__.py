"""The service: an exported classifier behind HTTP; no torch, nothing but `core` of this project."""
