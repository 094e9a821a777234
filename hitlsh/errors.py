"""The root of every error that hitlsh raises."""


class HitlshError(Exception):
    """Something about HITL.sh is wrong; the message says what, where, and what to do next."""
