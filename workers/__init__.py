"""What a handler author types: `from workers import Decision, Router`."""

from hitlsh.events import Reviewer
from workers.conditions import between
from workers.decision import Decision
from workers.errors import GiveUp, RetryLater
from workers.router import Route, Router

__all__ = ["Decision", "GiveUp", "RetryLater", "Reviewer", "Route", "Router", "between"]
