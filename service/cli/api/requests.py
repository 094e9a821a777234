"""``hitl-receiver api``: what is done with a request after it was asked, and uploads."""

from pathlib import Path
from typing import Literal

import click
from msgspec import UNSET

from hitlsh.api.questions.request_body import PRIORITIES, Priority
from service.cli.api.errors import client_from_env
from service.cli.api.tables import as_json, show, show_request
from service.cli.json_option import parse_json
from service.cli.question_options import NO_ANSWER

_SCORE = click.IntRange(1, 5)
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp"})


@click.command("wait")
@click.argument("request_id")
@click.option("--every", type=float, help="Seconds between polls, instead of 5, 10, 30, 60, 120, 300, …")
@click.option("--for", "for_up_to", type=float, help="Seconds after which to stop. Without it, there is no limit.")
@as_json
def wait_for_request(request_id: str, every: float | None, for_up_to: float | None, json_wanted: bool) -> None:
    """Poll until a request has ended. Exit with 3 if nobody answered."""
    with client_from_env() as client:
        request = client.requests.wait(request_id, every=every, for_up_to=for_up_to)
    show_request(request, json_wanted)
    click.get_current_context().exit(0 if request.answer is not None else NO_ANSWER)


@click.command("update")
@click.argument("request_id")
@click.option("--text", help="The question.")
@click.option("--priority", type=click.Choice(PRIORITIES))
@click.option("--timeout", type=int, help="Seconds, 60 to 86400.")
@click.option("--default", metavar="JSON", help="The default response.")
@click.option("--context", metavar="JSON", help="A JSON object with details, shown to the reviewer.")
@click.option("--callback-url", help="Where HITL.sh posts the outcome.")
@as_json
def update_request(
    request_id: str,
    text: str | None,
    priority: Priority | None,
    timeout: int | None,
    default: str | None,
    context: str | None,
    callback_url: str | None,
    json_wanted: bool,
) -> None:
    """Change a pending request. HITL.sh does not document this call."""
    if all(change is None for change in (text, priority, timeout, default, context, callback_url)):
        raise click.UsageError("Give at least one of --text, --priority, --timeout, --default, --context and so on.")
    with client_from_env() as client:
        request = client.requests.update(
            request_id,
            request_text=UNSET if text is None else text,
            priority=UNSET if priority is None else priority,
            timeout_seconds=UNSET if timeout is None else timeout,
            default_response=UNSET if default is None else parse_json(default, "--default"),
            context=UNSET if context is None else parse_json(context, "--context"),
            callback_url=UNSET if callback_url is None else callback_url,
        )
    show_request(request, json_wanted)


@click.command("feedback")
@click.argument("request_id")
@click.option("--rating", type=_SCORE, help="1 to 5, like the other scores.")
@click.option("--accuracy", type=_SCORE)
@click.option("--timeliness", type=_SCORE)
@click.option("--helpfulness", type=_SCORE)
@click.option("--comment", help="At most 1000 characters.")
@click.option("--would-recommend/--would-not-recommend", default=None)
@click.option("--tag", "tags", multiple=True, help="Repeatable.")
@click.option("--follow-up-needed/--no-follow-up-needed", default=None)
@click.option("--category", type=click.Choice(("positive", "constructive", "issue")))
@as_json
def add_feedback(
    request_id: str,
    rating: int | None,
    accuracy: int | None,
    timeliness: int | None,
    helpfulness: int | None,
    comment: str | None,
    would_recommend: bool | None,
    tags: tuple[str, ...],
    follow_up_needed: bool | None,
    category: Literal["positive", "constructive", "issue"] | None,
    json_wanted: bool,
) -> None:
    """Tell the reviewer how a completed request was answered. Possible once."""
    with client_from_env() as client:
        stored = client.requests.feedback(
            request_id,
            rating=rating,
            accuracy=accuracy,
            timeliness=timeliness,
            helpfulness=helpfulness,
            comment=comment,
            would_recommend=would_recommend,
            tags=tags or None,
            follow_up_needed=follow_up_needed,
            category=category,
        )
    fields = ", ".join(f"{name}: {value}" for name, value in stored.feedback.items())
    show(stored, ("ID", "FEEDBACK"), [(stored.request_id, fields)], json_wanted)


@click.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def upload(file: Path, json_wanted: bool) -> None:
    """Upload an image or a document, and print its address for a request."""
    with client_from_env() as client:
        send = client.uploads.image if file.suffix.lower() in _IMAGES else client.uploads.document
        stored = send(file.read_bytes(), file.name)
    show(stored, ("TYPE", "BYTES", "URL"), [(stored.file_type, stored.size_bytes, stored.url)], json_wanted)


COMMANDS: tuple[click.Command, ...] = (wait_for_request, update_request, add_feedback, upload)
