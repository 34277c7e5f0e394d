"""Labelled pictures: where they come from, how they are cut into disjoint parts, their cache."""
