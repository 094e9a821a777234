"""Each setting with its meaning, the source of its value, and the text that may be shown. No I/O."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from service.doctor.findings import Finding, SettingValue, error, ok, warning
from workers.access_tokens import read_access_tokens
from workers.redis_checks import address
from workers.settings import HITL_API, SettingsInvalid, split_alert_urls

_FIX = "Correct it in the environment of each process, and start them again; docs/settings.md lists every setting."
#: Characters of a value that are shown.
_LONGEST_VALUE = 60


class SettingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    name: str
    #: As it would be written; empty if there is none.
    default: str = ""
    meaning: str
    #: How a value is shown.
    show: Callable[[str], str] = str


def _secret(text: str) -> str:
    lengths = [len(part.strip()) for part in text.split(",") if part.strip()]
    characters = f"{', '.join(map(str, lengths))} characters"
    return f"set, {characters}" if len(lengths) == 1 else f"set, {len(lengths)} of {characters}"


def _tokens(text: str) -> str:
    tokens, problems = read_access_tokens(text)
    named = ", ".join(f"{token.name} ({'+'.join(sorted(token.scopes))})" for token in tokens)
    return "set, unreadable" if problems or not tokens else f"set, for {named}"


def _alerts(text: str) -> str:
    schemes = [url.partition("://")[0] for url in split_alert_urls(text) if "://" in url]
    return f"set, for {', '.join(schemes)}" if schemes else "set, unreadable"


def _redis(text: str) -> str:
    return address(text) + (" (with a password)" if "@" in text else "")


#: In the order in which they are printed; docs/settings.md lists the same.
SETTINGS = (
    SettingEntry(name="REDIS_URL", meaning="the server of the inbox", show=_redis),
    SettingEntry(name="HITL_WEBHOOK_SECRETS", meaning="verify account webhooks", show=_secret),
    SettingEntry(name="HITL_CALLBACK_SECRETS", meaning="sign and verify callback URLs", show=_secret),
    SettingEntry(name="HITL_PUBLIC_URL", meaning="where HITL.sh reaches the web process", show=address),
    SettingEntry(name="HITL_INSECURE", default="0", meaning="1 accepts a public URL without TLS"),
    SettingEntry(name="HITL_HANDLERS", meaning="the module of your router"),
    SettingEntry(name="HITL_API_KEY", meaning="asks, and finds what the webhooks lost", show=_secret),
    SettingEntry(name="HITL_API_KEYS", meaning="earlier keys that are still polled", show=_secret),
    SettingEntry(name="HITL_TOKENS", meaning="who may ask over HTTP", show=_tokens),
    SettingEntry(name="HITL_BASE_URL", default=HITL_API, meaning="the API of HITL.sh", show=address),
    SettingEntry(name="HITL_DISCOVER", default="1", meaning="1 finds requests that were asked elsewhere"),
    SettingEntry(name="HITL_LOOKBACK", default="24h", meaning="how far back before the key's first use"),
    SettingEntry(name="HITL_RECONCILE_SHARE", default="0.5", meaning="of the hour's calls, for reconcile runs"),
    SettingEntry(name="HITL_ASK_RESERVE", default="0.2", meaning="of the hour's calls, kept for asking"),
    SettingEntry(name="HITL_CHECK_WITHIN", default="24h", meaning="longest time between two checks of an open request"),
    SettingEntry(name="HITL_MAX_BODY", default=str(1 << 20), meaning="bytes of the largest delivery"),
    SettingEntry(name="HITL_RETENTION_DAYS", default="30", meaning="days that finished work is kept"),
    SettingEntry(name="HITL_LEASE_SECONDS", default="15", meaning="seconds a worker holds work without a sign of life"),
    SettingEntry(name="HITL_HANDLER_CONCURRENCY", default="50", meaning="`async def` handlers at once in a worker"),
    SettingEntry(name="HITL_HANDLER_THREADS", default="8", meaning="threads for `def` handlers in a worker"),
    SettingEntry(name="HITL_METRICS_PORT", default="0", meaning="port of the clock's metrics; 0: none"),
    SettingEntry(name="HITL_METRICS_HOST", default="127.0.0.1", meaning="address of the clock's metrics"),
    SettingEntry(name="HITL_METRICS_TOKEN", meaning="lets its holder read /metrics of the web process", show=_secret),
    SettingEntry(name="HITL_ALERTS", meaning="who is told of alarms", show=_alerts),
    SettingEntry(name="HITL_LOG_LEVEL", default="INFO", meaning="lowest level of log lines"),
    SettingEntry(name="HITL_LOG_FORMAT", default="console", meaning="console, or json"),
)


def setting_values(environ: Mapping[str, str], origin_of: Callable[[str], str]) -> tuple[SettingValue, ...]:
    """Every setting that is in force. `origin_of`: returns the source of a value."""
    return tuple(_value(entry, environ.get(entry.name, "").strip(), origin_of) for entry in SETTINGS)


def setting_findings(
    problems: SettingsInvalid | None, of_serve: SettingsInvalid | None, of_work: SettingsInvalid | None
) -> Iterator[Finding]:
    """Check that the settings are valid for all programs, and sufficient for `serve` and `work`."""
    general = [] if problems is None else problems.problems
    for problem in general:
        yield error("settings.valid", f"{problem}.", _FIX)
    if not general:
        yield ok("settings.valid", "Every setting can be read.")
    for check, program, refusal in (("settings.serve", "serve", of_serve), ("settings.work", "work", of_work)):
        more = [problem for problem in (refusal.problems if refusal else []) if problem not in general]
        for problem in more:
            yield warning(check, f"`{program}` cannot start with these settings: {problem}.", _FIX)
        if not more and not general:
            yield ok(check, f"`{program}` has the settings that it needs.")


def _value(entry: SettingEntry, text: str, origin_of: Callable[[str], str]) -> SettingValue:
    if text:
        shown, origin = _shown(entry, text), origin_of(entry.name)
        shown = shown if len(shown) <= _LONGEST_VALUE else f"{shown[: _LONGEST_VALUE - 1]}…"
    else:
        shown, origin = entry.default or "not set", "default"
    return SettingValue(name=entry.name, value=shown, origin=origin, meaning=entry.meaning)


def _shown(entry: SettingEntry, text: str) -> str:
    try:
        return entry.show(text)
    except ValueError:  # an invalid URL may contain a password too
        return "set, unreadable"
