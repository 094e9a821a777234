"""The client of a receiver's ``/requests``: ask a person and wait for the answer. Needs httpx.

`Hitl` and `AsyncHitl` execute the same flow, which is without I/O (`receiver_exchange`).
"""
