"""The one exception that means "the user can mend this"."""


class InputError(Exception):
    """Something the user gave is wrong; the message is one line and says how to mend it.

    The command line prints it without a traceback and exits with code 2.
    """
