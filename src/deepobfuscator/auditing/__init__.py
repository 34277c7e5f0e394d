"""Newly trained attackers on a frozen encoder: threat models, baselines, scores, verdicts."""
