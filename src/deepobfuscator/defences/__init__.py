"""Defences, one file each: drop one here and it is trained, audited and compared."""
