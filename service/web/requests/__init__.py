"""The HTTP API with which programs ask people: ``/requests``. Only an API key and HITL_TOKENS make it exist."""
