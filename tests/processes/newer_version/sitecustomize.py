"""On PYTHONPATH, a newer version of hitl-receiver: it adds a field to each head, and changes one in every other."""

import msgspec

from hitlsh import event_json
from hitlsh.events import Event

_encode, _decode = event_json.encode_event, event_json.decode_event


def encode_event(event: Event) -> bytes:
    """As this version, with `added`; for every other request `variant` is an object."""
    fields = msgspec.json.decode(_encode(event)) | {"added": {"by": ["a newer version"]}}
    if event.request_id and int(event.request_id[-1], 16) % 2:
        fields["variant"] = {"name": event.variant}
    return msgspec.json.encode(fields)


def decode_event(encoded: bytes) -> Event:
    """Reads what either version wrote."""
    fields = msgspec.json.decode(encoded)
    if isinstance(fields["variant"], dict):
        fields["variant"] = fields["variant"]["name"]
    return _decode(msgspec.json.encode(fields))


event_json.encode_event = encode_event
event_json.decode_event = decode_event
