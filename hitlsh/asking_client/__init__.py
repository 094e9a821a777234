"""The client of a receiver's ``/requests``: ask a person, wait for the answer, go on. Needs httpx.

`Hitl` and `AsyncHitl` are two drivers of one flow without I/O (`receiver_exchange`).
"""
