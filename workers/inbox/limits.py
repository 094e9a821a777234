"""Bounds on what HITL.sh sends, by which records are kept and keys are named."""

#: Seconds: a request lives 30 days at the most (deferred, without a timeout of its own); then nothing more can come.
LONGEST_REQUEST = 31 * 86_400
#: Characters of a request's id in a key; a longer one is hashed.
LONGEST_ID = 200
