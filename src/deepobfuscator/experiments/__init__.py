"""Trials: a defence on a task on labelled pictures, trained, audited and kept in a folder."""
