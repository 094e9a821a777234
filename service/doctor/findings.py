"""Findings: what a check found, how bad it is, and what to do. Pure."""

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
    #: What to do, as a sentence; None where nothing is to be done.
    fix: str | None = None

    @property
    def group(self) -> str:
        return self.check.partition(".")[0]


class SettingValue(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as it is in force."""

    name: str
    #: Never a secret: of these, how many are set and how long they are.
    value: str
    #: Where it comes from.
    origin: str
    meaning: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found."""

    settings: tuple[SettingValue, ...]
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Level:
        return worst(self.findings)


def ok(check: str, text: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(check=check, level="ok", text=text)


def warning(check: str, text: str, fix: str) -> Finding:
    """A finding that should be put right."""
    return Finding(check=check, level="warning", text=text, fix=fix)


def error(check: str, text: str, fix: str) -> Finding:
    """A finding with which decisions are not received, not handled or lost."""
    return Finding(check=check, level="error", text=text, fix=fix)


def worst(findings: tuple[Finding, ...]) -> Level:
    """The worst level among findings; ok where there is none."""
    return max((finding.level for finding in findings), key=EXIT_STATUS.__getitem__, default="ok")
