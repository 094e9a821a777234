"""Alarms: what is wrong now, in sentences with what to do, and who is told of it."""
