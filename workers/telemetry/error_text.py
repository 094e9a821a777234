"""The text of an error that is stored with an effect, and the line that sums it up. No I/O."""

import traceback

#: Characters of a text: the beginning of the message, and the end of the traceback before it.
LONGEST_TEXT = 2_000
LONGEST_MESSAGE = 1_000


def error_text(error: BaseException) -> str:
    """The traceback and message of an exception, cut to `LONGEST_TEXT` characters."""
    text = "".join(traceback.format_exception(error))
    message = "".join(traceback.format_exception_only(error))
    if not text.endswith(message):  # an exception group, whose members follow its message
        return text[-LONGEST_TEXT:]
    frames = text.removesuffix(message)
    message = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…\n"
    return f"{frames[len(message) - LONGEST_TEXT :]}{message}"


def error_summary(text: str) -> str:
    """The line that names the exception: the first below the last frame; without frames, the first of all."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Traceback")]
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    below = lines[frames[-1] :] if frames else lines
    named = (line for line in below if not line.startswith(" "))
    # An exception group draws a tree, in which each line is indented.
    drawn = (line.strip(" |") for line in reversed(lines) if any(letter.isalpha() for letter in line))
    return next(named, None) or next(drawn, "")
