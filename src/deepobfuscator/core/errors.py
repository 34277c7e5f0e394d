"""The one exception that means "the user can mend this", and others in one line."""

import re
import traceback

LONGEST = 400
"""Characters of another's message that are shown; libraries put the reason at either end."""


SOURCE = re.compile(r"/\S+\.(?:cc|cpp|h):\d+ \S[^)]*\) ")
"""Where a C++ library says that it was, with the function's whole signature."""


class InputError(Exception):
    """Something the user gave is wrong; the message is one line and says how to mend it.

    The command line prints it without a traceback and exits with code 2.
    """


def in_one_line(error: BaseException) -> str:
    """Type and message of an exception; where it has none, the place that raised it."""
    text = SOURCE.sub(" ", " ".join(str(error).split()))
    if not text and (frames := traceback.extract_tb(error.__traceback__)):
        text = f"{frames[-1].line or frames[-1].name}, line {frames[-1].lineno}"
    text = f"{type(error).__name__}: {text}"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2].strip()} ... {text[-LONGEST // 2 :].strip()}"
    return text
