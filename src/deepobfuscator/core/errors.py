"""The one exception that means "the user can fix this", and others as one line."""

import re
import traceback

LONGEST = 400
"""Maximum length shown of another exception's message; the reason may be at either end."""


SOURCE = re.compile(r"/\S+\.(?:cc|cpp|h):\d+ \S[^)]*\) ")
"""A C++ library's source location, with the function's full signature."""


class InputError(Exception):
    """Wrong user input; the message is one line and says how to fix it.

    The command line prints it without a traceback and exits with code 2.
    """


def in_one_line(error: BaseException) -> str:
    """Type and message of an exception; without a message, the line that raised it."""
    text = SOURCE.sub(" ", " ".join(str(error).split()))
    if not text and (frames := traceback.extract_tb(error.__traceback__)):
        text = f"{frames[-1].line or frames[-1].name}, line {frames[-1].lineno}"
    text = f"{type(error).__name__}: {text}"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2].strip()} ... {text[-LONGEST // 2 :].strip()}"
    return text
