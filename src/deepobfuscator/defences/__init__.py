"""Defences, one file each: a file added here can be trained, audited and compared."""
