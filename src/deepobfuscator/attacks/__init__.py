"""Attacks, one file or class each: trained from scratch on a frozen encoder."""
