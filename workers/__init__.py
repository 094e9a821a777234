"""What a handler author types: `from workers import Decision, Router`."""

from hitlsh.events import Reviewer
from workers.conditions import between
from workers.decision import Decision
from workers.errors import GiveUp, RetryLater
from workers.forwarding import Sink
from workers.route import Route
from workers.router import Router

__all__ = ["Decision", "GiveUp", "RetryLater", "Reviewer", "Route", "Router", "Sink", "between"]
