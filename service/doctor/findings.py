"""Findings: the result of a check, its level, and what to do. No I/O."""

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "error"]

#: The exit status of a command whose worst finding has this level.
EXIT_STATUS: dict[Level, int] = {"ok": 0, "warning": 1, "error": 2}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check."""

    #: A name of `check_catalog.CHECKS`.
    check: str
    level: Level
    #: A sentence.
    text: str
    #: What to do, as a sentence; None if there is nothing to do.
    fix: str | None = None

    @property
    def group(self) -> str:
        return self.check.partition(".")[0]


class SettingValue(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is in force."""

    name: str
    #: Never a secret: for secrets, how many are set and how long they are.
    value: str
    #: The source of the value.
    origin: str
    meaning: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All findings and settings."""

    settings: tuple[SettingValue, ...]
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Level:
        return worst(self.findings)


def ok(check: str, text: str) -> Finding:
    """A finding that needs no action."""
    return Finding(check=check, level="ok", text=text)


def warning(check: str, text: str, fix: str) -> Finding:
    """A finding that should be corrected."""
    return Finding(check=check, level="warning", text=text, fix=fix)


def error(check: str, text: str, fix: str) -> Finding:
    """A finding that causes decisions to be lost, not received or not handled."""
    return Finding(check=check, level="error", text=text, fix=fix)


def worst(findings: tuple[Finding, ...]) -> Level:
    """The worst level among findings; ok if there are none."""
    return max((finding.level for finding in findings), key=EXIT_STATUS.__getitem__, default="ok")
