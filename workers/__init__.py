"""What a handler author types: `from workers import Decision, Router`."""

from hitlsh.events import Reviewer
from workers.decision import Decision
from workers.errors import GiveUp, RetryLater
from workers.routing.conditions import between
from workers.routing.forwarding import Sink
from workers.routing.route import Route
from workers.routing.router import Router

__all__ = ["Decision", "GiveUp", "RetryLater", "Reviewer", "Route", "Router", "Sink", "between"]
