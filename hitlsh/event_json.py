"""Events as JSON, to store and to read back."""

import msgspec

from hitlsh.events import Event

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def encode_event(event: Event) -> bytes:
    """Return the event as JSON; ``decode_event`` gives an equal one back."""
    return _encode(event)


def decode_event(encoded: bytes) -> Event:
    """Return the event that ``encode_event`` wrote; raises msgspec.MsgspecError for anything else."""
    return _decode(encoded)
