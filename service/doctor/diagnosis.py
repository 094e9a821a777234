"""Makes all checks, one group after the other."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from redis.exceptions import RedisError

from service.doctor.address_findings import address_finding
from service.doctor.api_findings import api_findings
from service.doctor.findings import Diagnosis, Finding, error
from service.doctor.handler_findings import handler_findings
from service.doctor.process_findings import process_findings
from service.doctor.redis_findings import redis_findings
from service.doctor.setting_values import setting_findings, setting_values
from workers.redis_clients import command_client
from workers.settings import Settings, SettingsInvalid


def diagnose(
    environ: Mapping[str, str], origin_of: Callable[[str], str], groups: Collection[str], *, offline: bool
) -> Diagnosis:
    """Make the checks of these groups. `offline`: connect neither to HITL.sh nor to the public address nor to sinks.

    `origin_of`: where a setting that has a value was given it.
    """
    findings = tuple(_findings(environ, groups, offline=offline))
    return Diagnosis(settings=setting_values(environ, origin_of) if "settings" in groups else (), findings=findings)


def _findings(environ: Mapping[str, str], groups: Collection[str], *, offline: bool) -> Iterator[Finding]:
    settings, problems = _read(environ)
    _, of_serve = _read(environ, receives=True)
    _, of_work = _read(environ, handles=True)
    for finding in setting_findings(problems, of_serve, of_work):
        # Without settings no other check is possible; this is reported for any choice of groups.
        if "settings" in groups or (settings is None and finding.check == "settings.valid"):
            yield finding
    if settings is None:
        return
    with contextlib.closing(command_client(settings.redis_url)) as redis:
        needs_redis = {"redis", "processes", "api"} & set(groups)
        server = list(redis_findings(redis, settings.redis_url)) if needs_redis else []
        if "redis" in groups or (server and server[0].level == "error"):
            yield from server
        reachable = redis if server and server[0].level == "ok" else None
        if "handlers" in groups:
            yield from handler_findings(settings, offline=offline)
        if "processes" in groups and reachable is not None:
            yield from _guarded("processes.handlers", process_findings(reachable, settings))
        if "api" in groups and not offline:
            yield from _guarded("api.calls", api_findings(settings, reachable))
        if "address" in groups and not offline:
            yield address_finding(settings.public_url)


def _read(
    environ: Mapping[str, str], *, receives: bool = False, handles: bool = False
) -> tuple[Settings | None, SettingsInvalid | None]:
    try:
        return Settings.from_env(environ, receives=receives, handles=handles), None
    except SettingsInvalid as problems:
        return None, problems


def _guarded(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield these findings; if Redis fails meanwhile, an error of this check is the last."""
    try:
        yield from findings
    except RedisError as failure:
        yield error(
            check,
            f"The inbox cannot be read ({type(failure).__name__}: {failure}).",
            "Correct what is wrong with Redis first.",
        )
