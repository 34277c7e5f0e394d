"""Trials: a defence, a task and labelled pictures; trained, audited and kept in a folder."""
