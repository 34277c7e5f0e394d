"""Labelled pictures: sources, disjoint parts, the cache."""
