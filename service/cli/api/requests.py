"""``hitl-receiver api``: requests after they were asked, and uploads."""

from itertools import islice
from pathlib import Path
from typing import Literal

import click
from msgspec import UNSET

from hitlsh.api.questions.request_body import PRIORITIES, Priority
from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_requests, print_resource, raw_json_option
from service.cli.api.question_options import NO_ANSWER
from service.cli.options import NameChoice, parse_json
from service.cli.output import cut

_SCORE = click.IntRange(1, 5)
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp"})


@click.command("list")
@click.option("--status", help="pending, completed, timeout or cancelled.")
@click.option("--loop", "loop_id", help="Only requests of the loop with this id.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Maximum number of rows.")
@raw_json_option
def list_requests(status: str | None, loop_id: str | None, limit: int, json_wanted: bool) -> None:
    """List the requests that this key created, newest first. One call per hundred."""
    with client_from_environment() as client:
        listing = client.requests.list(status=status, loop_id=loop_id, page_size=min(limit, 100))
        requests = tuple(islice(listing, limit))
    print_requests(requests, requests, json_wanted)


@click.command("get")
@click.argument("request_id")
@raw_json_option
def get_request(request_id: str, json_wanted: bool) -> None:
    """Show one request."""
    with client_from_environment() as client:
        request = client.requests.get(request_id)
    print_requests(request, [request], json_wanted)


@click.command("cancel")
@click.argument("request_id")
@raw_json_option
def cancel_request(request_id: str, json_wanted: bool) -> None:
    """Cancel a pending request."""
    with client_from_environment() as client:
        cancelled = client.requests.cancel(request_id)
    print_resource(cancelled, ("ID", "STATUS"), [(cancelled.request_id, cancelled.status)], json_wanted)


@click.command("wait")
@click.argument("request_id")
@click.option("--every", type=float, help="Seconds between polls, instead of 5, 10, 30, 60, 120, 300, …")
@click.option("--for", "for_up_to", type=float, help="Seconds after which to stop. Without it, there is no limit.")
@raw_json_option
def wait_for_request(request_id: str, every: float | None, for_up_to: float | None, json_wanted: bool) -> None:
    """Poll until a request has ended. Exit with 3 if nobody answered."""
    with client_from_environment() as client:
        request = client.requests.wait(request_id, every=every, for_up_to=for_up_to)
    print_requests(request, [request], json_wanted)
    click.get_current_context().exit(0 if request.answer is not None else NO_ANSWER)


@click.command("update")
@click.argument("request_id")
@click.option("--text", help="The question.")
@click.option("--priority", type=NameChoice(PRIORITIES))
@click.option("--timeout", type=int, help="Seconds, 60 to 86400.")
@click.option("--default", metavar="JSON", help="The default response.")
@click.option("--context", metavar="JSON", help="A JSON object with details, shown to the reviewer.")
@click.option("--callback-url", help="Where HITL.sh posts the outcome.")
@raw_json_option
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
    with client_from_environment() as client:
        request = client.requests.update(
            request_id,
            request_text=UNSET if text is None else text,
            priority=UNSET if priority is None else priority,
            timeout_seconds=UNSET if timeout is None else timeout,
            default_response=UNSET if default is None else parse_json(default, "--default"),
            context=UNSET if context is None else parse_json(context, "--context"),
            callback_url=UNSET if callback_url is None else callback_url,
        )
    print_requests(request, [request], json_wanted)


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
@click.option("--category", type=NameChoice(("positive", "constructive", "issue")))
@raw_json_option
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
    """Rate the answer to a completed request, for its reviewer. HITL.sh accepts one rating for each request."""
    with client_from_environment() as client:
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
    print_resource(stored, ("ID", "FEEDBACK"), [(stored.request_id, cut(fields))], json_wanted)


@click.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@raw_json_option
def upload(file: Path, json_wanted: bool) -> None:
    """Upload an image or a document, and print its address for a request."""
    with client_from_environment() as client:
        send = client.uploads.image if file.suffix.lower() in _IMAGES else client.uploads.document
        stored = send(file.read_bytes(), file.name)
    print_resource(stored, ("TYPE", "BYTES", "URL"), [(stored.file_type, stored.size_bytes, stored.url)], json_wanted)


COMMANDS: tuple[click.Command, ...] = (
    list_requests,
    get_request,
    cancel_request,
    wait_for_request,
    update_request,
    add_feedback,
    upload,
)
