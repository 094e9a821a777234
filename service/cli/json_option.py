"""Options that hold JSON."""

import json
from typing import Any

import click


def parse_json(text: str | None, option: str) -> Any:
    """What the option says; None where it was not given."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{option} must be JSON, such as '\"Approve\"', '4' or '{{\"order\": 7}}'") from error
