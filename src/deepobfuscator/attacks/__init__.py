"""Attacks, one file or class each: fresh attackers trained from scratch on a frozen encoder."""
