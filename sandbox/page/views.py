"""Placeholder until the page is drawn."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
live_routes: list[BaseRoute] = []
