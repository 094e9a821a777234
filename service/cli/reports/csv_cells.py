"""Cells of CSV files, written so that a spreadsheet takes no text for a formula."""

import csv
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TextIO

from workers.telemetry.escaping import escape

#: A cell whose text begins so may be a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class CsvWriter:
    """Writes rows of values, comma-separated (RFC 4180)."""

    def __init__(self, heads: Sequence[str], file: TextIO | None = None) -> None:
        self._writer = csv.writer(file or sys.stdout, lineterminator="\n")
        self._writer.writerow(heads)

    def write(self, row: Sequence[Any]) -> None:
        self._writer.writerow([csv_cell(value) for value in row])


def csv_cell(value: Any) -> str:
    """The text of a value: times in ISO 8601, lists and objects as JSON, and text that cannot be a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
        case str():
            text = value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    text = escape(text, keep="\n")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_BEGINNINGS) else text
