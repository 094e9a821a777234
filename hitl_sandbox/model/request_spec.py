"""Validation of a create body, in the vendor's order and wording."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.answers import check_default
from hitl_sandbox.model.records import RequestSpec
from hitl_sandbox.model.response_configs import RESPONSE_TYPES, check_config

PROCESSING_TYPES = ("time-sensitive", "deferred")
CONTENT_TYPES = ("markdown", "image", "file", "video", "audio")
PRIORITIES = ("low", "medium", "high", "critical")
PLATFORMS = ("n8n", "zapier", "web_portal", "api", "mobile", "webhook")
STATUSES = ("pending", "completed", "timeout", "cancelled")

THIRTY_DAYS = 30 * 86400
#: The maximum timeout in seconds. The reference limits both to a day; samples of deferred requests exceed it.
MAX_TIMEOUT = {"time-sensitive": 86400, "deferred": THIRTY_DAYS}

SINGLE_ATTACHMENTS = ("file_url", "file_type", "file_name", "video_url", "audio_url")
LISTED_ATTACHMENTS = ("image_urls", "file_urls", "file_types", "file_names", "video_urls", "audio_urls")
EXTRAS = ("metadata", "tags")


def read_spec(body: dict[str, Any], *, strict: bool = False, any_default: bool = False) -> RequestSpec:
    """Read a create body; raises ``Refusal`` for the first rule that it breaks.

    With `any_default` the default response may be missing, or be none of the options.
    """
    text = _request_text(body)
    processing_type = _one_of(body, "processing_type", PROCESSING_TYPES)
    content_type = _one_of(body, "type", CONTENT_TYPES)
    priority = _one_of(body, "priority", PRIORITIES)
    platform = _one_of(body if strict else {"platform": "api", **body}, "platform", PLATFORMS)
    timeout_seconds = _timeout_seconds(body, processing_type)
    _check_attachments(body, content_type)
    response_type = _one_of(body, "response_type", RESPONSE_TYPES)
    config = _mapping(body, "response_config")
    if config is None:
        raise invalid("response_config is required")
    check_config(response_type, config, strict=strict)
    default_response = body.get("default_response")
    if not any_default:
        if default_response is None:
            raise invalid("default_response is required")
        check_default(response_type, config, default_response)
    return RequestSpec(
        processing_type=processing_type,
        type=content_type,
        priority=priority,
        request_text=text,
        response_type=response_type,
        response_config=config,
        default_response=default_response,
        platform=platform,
        platform_version=_text(body, "platform_version"),
        timeout_seconds=timeout_seconds,
        image_url=_text(body, "image_url"),
        context=_mapping(body, "context"),
        callback_url=_callback_url(body),
        attachments={name: body[name] for name in SINGLE_ATTACHMENTS + LISTED_ATTACHMENTS if name in body},
        extras={name: body[name] for name in EXTRAS if name in body},
    )


def read_timing(body: dict[str, Any]) -> tuple[str, int | None]:
    """The processing type and timeout of a workflow trigger, by the rules of a create body; deferred by default."""
    processing_type = _one_of({"processing_type": "deferred", **body}, "processing_type", PROCESSING_TYPES)
    return processing_type, _timeout_seconds(body, processing_type)


def as_body(spec: RequestSpec) -> dict[str, Any]:
    """Write the create body of a spec, into which PATCH merges its changes."""
    names = ("attachments", "extras")
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__ if name not in names}
    return {**fields, **spec.attachments, **spec.extras}


def invalid(issue: str) -> Refusal:
    return Refusal(400, "Validation failed", issue)


def _request_text(body: dict[str, Any]) -> str:
    text = body.get("request_text")
    if text is None or text == "":
        raise Refusal(400, "Request text is required")
    if not isinstance(text, str) or len(text) > 2000:
        raise invalid("request_text must be between 1 and 2000 characters")
    return text


def _one_of(body: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = body.get(name)
    if value is None:
        raise invalid(f"{name} is required")
    if value not in choices:
        raise invalid(f"{name} must be one of: {', '.join(choices)}")
    return str(value)


def _timeout_seconds(body: dict[str, Any], processing_type: str) -> int | None:
    value = body.get("timeout_seconds")
    if value is None:
        if processing_type == "time-sensitive":
            raise Refusal(400, "timeout_seconds is required for time-sensitive requests")
        return None
    maximum = MAX_TIMEOUT[processing_type]
    if isinstance(value, bool) or not isinstance(value, int) or not 60 <= value <= maximum:
        raise invalid(f"timeout_seconds must be between 60 and {maximum}")
    return value


def _check_attachments(body: dict[str, Any], content_type: str) -> None:
    for name in ("image_url", *SINGLE_ATTACHMENTS):
        _text(body, name)
    for name in LISTED_ATTACHMENTS:
        _check_texts(body, name)
    if content_type == "image" and not (body.get("image_url") or body.get("image_urls")):
        raise Refusal(400, "Image URL is required when type is image")
    if content_type in ("file", "video", "audio"):
        single, multiple = f"{content_type}_url", f"{content_type}_urls"
        if not (body.get(single) or body.get(multiple)):
            raise invalid(f"{single} is required when type is {content_type}")


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"{name} must be a string")
    return value


def _check_texts(body: dict[str, Any], name: str) -> None:
    value = body.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise invalid(f"{name} must be an array of strings")


def _mapping(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid(f"{name} must be an object")
    return value


def _callback_url(body: dict[str, Any]) -> str | None:
    url = _text(body, "callback_url")
    if url is None:
        return None
    check_url(url, "callback_url")
    return url


def check_url(url: str, name: str) -> None:
    """Raise ``Refusal`` unless the URL is HTTPS, or HTTP to this machine or a private network."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise invalid(f"{name} must be a valid URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise invalid(f"{name} must be a valid URL")
    if parts.scheme == "http" and not _is_private(host):
        raise invalid(f"{name} must use HTTPS")


def _is_private(host: str) -> bool:
    """Whether a host is a loopback or private address, or a name without dots as containers have."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private
