"""Downstream destinations for `router.forward`; one of your own is any object with an async `send`."""

from workers.sinks.log import Log
from workers.sinks.redis_stream import RedisStream
from workers.sinks.slack import Slack
from workers.sinks.webhook import Webhook

__all__ = ["Log", "RedisStream", "Slack", "Webhook"]
