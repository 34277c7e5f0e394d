"""Bounds that no attacker can exceed, from counts of a code's values; no attacker is trained."""
