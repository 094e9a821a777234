"""The settings, read from the environment once and checked together."""

import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from workers.errors import WorkersError

if TYPE_CHECKING:
    from workers.access_tokens import AccessToken

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=str)
LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat: TypeAlias = Literal["console", "json"]

#: The vendor's production host (https://docs.hitl.sh, API introduction).
HITL_API = "https://api.hitl.sh/v1"
SHORTEST_SECRET = 16
#: The first is the default.
LOG_LEVELS: tuple[LogLevel, ...] = ("INFO", "DEBUG", "WARNING", "ERROR")
LOG_FORMATS: tuple[LogFormat, ...] = ("console", "json")
#: Seconds: no request lives longer, nor is there anything older to find.
LONGEST_DURATION = 31 * 86_400.0
#: How alike the name of a variable and that of a setting are, if one of them is a misspelling.
_ALMOST = 0.9
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SWITCHES = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}


class SettingsInvalid(WorkersError):
    """The environment holds invalid settings; the message lists every problem and its remedy."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"hitl-receiver cannot start:\n{listed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting. Secrets do not show in `repr`."""

    #: redis://, rediss:// or unix://; may carry a password.
    redis_url: str = field(repr=False)
    #: Account webhooks: HMAC secrets, oldest to newest; any of them verifies.
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    #: Callback URLs: signing keys, oldest to newest; any verifies, the last signs.
    callback_secrets: tuple[str, ...] = field(default=(), repr=False)
    #: Where HITL.sh reaches us; callback URLs point there.
    public_url: str | None = None
    #: ``package.module[:attribute]`` of the user's router.
    handlers: str | None = None
    #: The current API key: the one that asks.
    api_key: str | None = field(default=None, repr=False)
    #: Keys used before, oldest to newest, which are still polled.
    earlier_api_keys: tuple[str, ...] = field(default=(), repr=False)
    #: Of those who may ask through the web process; without any, it serves no requests.
    access_tokens: "tuple[AccessToken, ...]" = field(default=(), repr=False)
    base_url: str = HITL_API
    #: Bytes; a larger body is refused with 413.
    max_body: int = 1 << 20
    retention_days: int = 30
    #: Seconds a worker holds what it claimed before another may take it; renewed while it lives.
    lease_seconds: float = 15.0
    #: How many `async def` handlers one drain runs at once, and how many threads run `def` handlers.
    handler_concurrency: int = 50
    handler_threads: int = 8
    #: Requests that did not come through us are looked for in HITL.sh's lists.
    discover: bool = True
    #: Seconds: a reconcile run delivers nothing that was decided longer ago than that before the API key's first use.
    lookback: float = 86_400.0
    #: Of the API's calls in an hour: what reconcile runs may use, and what they leave for asking.
    reconcile_share: float = 0.5
    ask_reserve: float = 0.2
    #: Seconds within which every open request is to be checked; a warning is shown where the calls do not suffice.
    check_within: float = 86_400.0
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "console"
    #: Where the clock serves metrics; port 0: nowhere. The token is for `/metrics` of the web process.
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    metrics_token: str | None = field(default=None, repr=False)
    #: Apprise URLs to which alarms are sent.
    alerts: tuple[str, ...] = field(default=(), repr=False)

    @property
    def retention(self) -> int:
        """Seconds."""
        return self.retention_days * 86_400

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Every key that is polled, oldest to newest; the last is current."""
        return () if self.api_key is None else (*self.earlier_api_keys, self.api_key)

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, *, receives: bool = False, handles: bool = False
    ) -> "Settings":
        """Read the environment; raises `SettingsInvalid` with every problem at once.

        `receives`: the web process, which must be able to verify. `handles`: a worker, which needs handlers.
        """
        reader = _Reader(environ)
        api_keys = _api_keys(reader.text("HITL_API_KEYS"), reader.text("HITL_API_KEY"))
        settings = cls(
            redis_url=reader.redis_url("REDIS_URL"),
            webhook_secrets=reader.secrets("HITL_WEBHOOK_SECRETS"),
            callback_secrets=reader.secrets("HITL_CALLBACK_SECRETS"),
            public_url=reader.public_url("HITL_PUBLIC_URL", insecure="HITL_INSECURE"),
            handlers=reader.handlers("HITL_HANDLERS"),
            api_key=api_keys[-1] if api_keys else None,
            earlier_api_keys=api_keys[:-1],
            access_tokens=reader.access_tokens("HITL_TOKENS"),
            base_url=reader.url("HITL_BASE_URL", HITL_API) or HITL_API,
            max_body=reader.number("HITL_MAX_BODY", 1 << 20, int, 1_024, 64 << 20, "bytes"),
            retention_days=reader.number("HITL_RETENTION_DAYS", 30, int, 1, 3_650, "days"),
            lease_seconds=reader.number("HITL_LEASE_SECONDS", 15.0, float, 1, 3_600, "seconds"),
            handler_concurrency=reader.number("HITL_HANDLER_CONCURRENCY", 50, int, 1, 10_000, "handlers"),
            handler_threads=reader.number("HITL_HANDLER_THREADS", 8, int, 1, 1_000, "threads"),
            discover=reader.switch("HITL_DISCOVER", default=True),
            lookback=reader.duration("HITL_LOOKBACK", "24h", least=0),
            reconcile_share=reader.number(
                "HITL_RECONCILE_SHARE", 0.5, float, 0.01, 1, "a share of the calls, as a number"
            ),
            ask_reserve=reader.number("HITL_ASK_RESERVE", 0.2, float, 0, 0.9, "a share of the calls, as a number"),
            check_within=reader.duration("HITL_CHECK_WITHIN", "24h", least=1),
            log_level=reader.choice("HITL_LOG_LEVEL", LOG_LEVELS),
            log_format=reader.choice("HITL_LOG_FORMAT", LOG_FORMATS),
            metrics_host=reader.text("HITL_METRICS_HOST") or "127.0.0.1",
            metrics_port=reader.number("HITL_METRICS_PORT", 0, int, 0, 65_535, "a port as a number"),
            metrics_token=reader.token("HITL_METRICS_TOKEN"),
            alerts=reader.alerts("HITL_ALERTS"),
        )
        if receives and not reader.any_of("HITL_WEBHOOK_SECRETS", "HITL_CALLBACK_SECRETS"):
            reader.problem(
                "HITL_WEBHOOK_SECRETS and HITL_CALLBACK_SECRETS are both empty, so no delivery could be verified: "
                "set HITL_WEBHOOK_SECRETS to the secret of your account webhook, or HITL_CALLBACK_SECRETS to a "
                'random string (python -c "import secrets; print(secrets.token_urlsafe(32))"), or both'
            )
        if receives and reader.any_of("HITL_TOKENS"):
            reader.check_asking()
        if handles and not reader.any_of("HITL_HANDLERS"):
            reader.problem(
                "HITL_HANDLERS is not set: name the module of your router, such as HITL_HANDLERS=myapp.handlers "
                "or HITL_HANDLERS=myapp.handlers:router"
            )
        reader.report_misspelled_names()
        reader.check()
        return settings


def log_settings(environ: Mapping[str, str]) -> tuple[LogLevel, LogFormat]:
    """The level and the format of the log; the default for one that is invalid, as `Settings` reports."""
    reader = _Reader(environ)
    return reader.choice("HITL_LOG_LEVEL", LOG_LEVELS), reader.choice("HITL_LOG_FORMAT", LOG_FORMATS)


def api_keys_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The API keys, oldest to newest: HITL_API_KEYS, and HITL_API_KEY as the current one where it is set."""
    return _api_keys(environ.get("HITL_API_KEYS"), environ.get("HITL_API_KEY"))


def _api_keys(listed: str | None, current: str | None) -> tuple[str, ...]:
    last = (current or "").strip()
    earlier = [part.strip() for part in (listed or "").split(",")]
    api_keys = [*(key for key in earlier if key != last), last]
    return tuple(dict.fromkeys(key for key in api_keys if key))


class _Reader:
    """Reads values and collects their problems."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []
        #: The names of all settings that were asked for.
        self._names: set[str] = set()

    def problem(self, sentence: str) -> None:
        self._problems.append(sentence)

    def check(self) -> None:
        if self._problems:
            raise SettingsInvalid(self._problems)

    def report_misspelled_names(self) -> None:
        """Report each variable whose name is almost that of a setting which is not set."""
        for name in sorted(name for name in self._environ if name.startswith("HITL_") and name not in self._names):
            suggestions = difflib.get_close_matches(name, self._names, n=1, cutoff=_ALMOST)
            if suggestions and not self.text(suggestions[0]):
                self.problem(f"{name} is no setting: did you mean {suggestions[0]}?")

    def text(self, name: str) -> str | None:
        self._names.add(name)
        return self._environ.get(name, "").strip() or None

    def any_of(self, *names: str) -> bool:
        return any(self.text(name) for name in names)

    def secrets(self, name: str) -> tuple[str, ...]:
        secrets = tuple(part.strip() for part in (self.text(name) or "").split(",") if part.strip())
        for number, secret in enumerate(secrets, 1):
            if len(secret) < SHORTEST_SECRET:
                self.problem(
                    f"{name}: secret {number} of {len(secrets)} has {len(secret)} characters; use at least "
                    f"{SHORTEST_SECRET} (secrets are separated by commas, oldest first)"
                )
        return secrets

    def check_asking(self) -> None:
        """What the web process needs to ask for others."""
        missing = [name for name in ("HITL_CALLBACK_SECRETS", "HITL_PUBLIC_URL") if not self.any_of(name)]
        if not self.any_of("HITL_API_KEY", "HITL_API_KEYS"):
            missing.insert(0, "HITL_API_KEY")
        if missing:
            self.problem(
                f"HITL_TOKENS lets programs ask through this process, which needs {' and '.join(missing)} for that: "
                "set it too, or remove HITL_TOKENS"
            )

    def access_tokens(self, name: str) -> "tuple[AccessToken, ...]":
        text = self.text(name)
        if text is None:
            return ()
        from workers.access_tokens import read_access_tokens

        tokens, problems = read_access_tokens(text)
        for problem in problems:
            self.problem(f"{name}: {problem}")
        return tokens

    def token(self, name: str) -> str | None:
        text = self.text(name)
        if text is not None and (len(text) < SHORTEST_SECRET or not text.isascii()):
            self.problem(f"{name} has {len(text)} characters; use at least {SHORTEST_SECRET}, all of them ASCII")
        return text

    def alerts(self, name: str) -> tuple[str, ...]:
        """Read Apprise URLs."""
        urls = split_alert_urls(self.text(name) or "")
        for number, url in enumerate(urls, 1):
            if not re.match(r"[A-Za-z][\w+.-]*://\S", url):
                # The message omits it, because it may contain a token.
                self.problem(
                    f"{name}: entry {number} of {len(urls)} is no Apprise URL: write such as "
                    "slack://TOKEN_A/TOKEN_B/TOKEN_C, separated by blanks or commas "
                    "(https://github.com/caronc/apprise/wiki)"
                )
        return urls

    def redis_url(self, name: str) -> str:
        url = self.text(name)
        if url is None:
            self.problem(f"{name} is not set: write the address of Redis or Valkey, such as redis://localhost:6379/0")
            return ""
        if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            # The URL may hold a password: it is not repeated here.
            self.problem(f"{name} must begin with redis://, rediss:// or unix://")
        return url

    def url(self, name: str, default: str | None) -> str | None:
        url = self.text(name) or default
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            self.problem(f"{name} must be an address such as https://hooks.example.com, without a query")
        return url.rstrip("/")

    def public_url(self, name: str, *, insecure: str) -> str | None:
        """An address under which HITL.sh reaches us: encrypted, unless it is on this machine or `insecure` is on."""
        url = self.url(name, None)
        is_accepted = self.switch(insecure, default=False)
        if url is None or is_accepted:
            return url
        parts = urlsplit(url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            self.problem(
                f"{name} is http:// with the host {parts.hostname!r}: callback URLs are passwords, and without TLS "
                "everyone on the way can read them and answer in HITL.sh's name. Write https:// (TLS may end at a "
                f"proxy in front), or accept that with {insecure}=1 or the option --insecure"
            )
        return url

    def handlers(self, name: str) -> str | None:
        text = self.text(name)
        if text and not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?", text):
            self.problem(f"{name}={text!r} is no module: write package.module or package.module:attribute")
        return text

    def switch(self, name: str, *, default: bool) -> bool:
        text = (self.text(name) or str(int(default))).lower()
        if text not in _SWITCHES:
            self.problem(f"{name}={text!r}: write 1 for on or 0 for off")
        return _SWITCHES.get(text, default)

    def choice(self, name: str, choices: Sequence[Choice]) -> Choice:
        """One of a few words, in any case; the first is the default."""
        text = self.text(name) or choices[0]
        for choice in choices:
            if choice.lower() == text.lower():
                return choice
        self.problem(f"{name}={text!r}: write one of {', '.join(choices)}")
        return choices[0]

    def duration(self, name: str, default: str, *, least: float) -> float:
        """Seconds, of a number with a unit such as `24h`."""
        text = self.text(name) or default
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
        seconds = float(match[1]) * _UNITS[match[2]] if match else -1.0
        if not least <= seconds <= LONGEST_DURATION:
            self.problem(
                f"{name}={text!r} must be a time from {least:g}s to {LONGEST_DURATION / 86_400:g}d: "
                f"a number and s, m, h or d, such as 90m or 24h"
            )
        return seconds

    def number(
        self, name: str, default: Value, read: Callable[[str], Value], least: float, most: float, unit: str
    ) -> Value:
        text = self.text(name)
        if text is None:
            return default
        try:
            value = read(text)
            fits = least <= float(str(value)) <= most
        except ValueError:
            fits = False
        if not fits:
            expected = unit if unit.startswith("a ") else f"a number of {unit}"
            self.problem(f"{name}={text!r} must be {expected} from {least:.10g} to {most:.10g}")
            return default
        return value


def split_alert_urls(text: str) -> tuple[str, ...]:
    """Split Apprise URLs, which may contain commas: a separator is followed by the scheme of the next URL."""
    return tuple(filter(None, re.split(r"[\s,]+(?=[A-Za-z][\w+.-]*://)", text)))


def _is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
