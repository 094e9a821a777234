"""`ask` with --key, --trust, --when-limited or --escalate-to: the question is submitted to the asking service."""

import asyncio
import json
from typing import Any

import click
import msgspec

from hitlsh.api.questions.new_question import Escalation, NewQuestion, WhenLimited
from hitlsh.asking.ask_outcomes import Answered, AskOutcome
from hitlsh.asking.asked_request import AskedRequest
from hitlsh.events import Trust
from service.cli.api.question_options import NO_ANSWER, QuestionOptions
from service.cli.options import parse_json
from service.cli.output import cut, echo, print_json, print_table
from workers.asking.asking_service import AskingService
from workers.redis_clients import drain_client
from workers.settings import Settings

_SUBMITS = "--key, --trust, --when-limited and --escalate-to"


class SubmitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the options, by their names in Python; None where one is not given."""

    key: str | None
    trust: Trust | None
    when_limited: WhenLimited | None
    escalate_to: tuple[Escalation, ...]

    @property
    def are_given(self) -> bool:
        return bool(self.escalate_to) or any(value is not None for value in (self.key, self.trust, self.when_limited))


class EscalationParameter(click.ParamType[Escalation]):
    """A loop and its timeout: ``On call=600``."""

    name = "LOOP=SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Escalation:
        """The part after the last ``=`` is the timeout, because the name of a loop may contain one."""
        if isinstance(value, Escalation):
            return value
        loop, _, seconds = str(value).rpartition("=")
        if not loop or not (seconds.isascii() and seconds.isdigit()):
            self.fail(f"{value!r} is not LOOP=SECONDS, such as 'On call=600'.", param, ctx)
        return Escalation(loop=loop, timeout_seconds=int(seconds[:9]))


def submit_question(
    settings: Settings, options: QuestionOptions, submit: SubmitOptions, state: str | None, *, every: float | None
) -> AskedRequest:
    """Submit the question; with `every` (seconds between reads) wait for its outcome."""
    question = _question(options, submit, parse_json(state, "--state"))
    return asyncio.run(_submit(settings, question, every))


async def _submit(settings: Settings, question: NewQuestion, every: float | None) -> AskedRequest:
    redis = drain_client(settings.redis_url)
    try:
        async with AskingService(settings, redis) as service:
            request = (await service.submit(question)).request
            if every is not None and request.outcome is None:
                echo(f"Asked: {request.id}. Waiting for the outcome; Ctrl+C stops waiting.", err=True)
            while every is not None and request.outcome is None:
                await asyncio.sleep(every)
                request = await service.get(request.id) or request
            return request
    finally:
        await redis.aclose()


def _question(options: QuestionOptions, submit: SubmitOptions, state: Any) -> NewQuestion:
    if options.callback_url is not None:
        raise click.UsageError(f"{_SUBMITS} use our callback URL: leave out --callback-url.")
    if len(options.images) > 1:
        raise click.UsageError(f"{_SUBMITS} allow one --image.")
    question = options.question()
    return NewQuestion(
        text=options.text,
        loop=options.loop,
        response_type=question.response_type,
        response_config=question.response_config,
        default_response=options.default_response(),
        timeout_seconds=options.timeout,
        priority=options.priority,
        context=parse_json(options.context, "--context"),
        image_url=options.images[0] if options.images else None,
        state=state,
        key=submit.key,
        when_limited=submit.when_limited or "queue",
        escalate_to=submit.escalate_to,
        trust=submit.trust or "callback",
    )


def show_asked(request: AskedRequest, json_wanted: bool) -> None:
    """Print an asked request, and its outcome where it has one."""
    if json_wanted:
        print_json(msgspec.to_builtins(request))
    elif request.outcome is None:
        heads = ("ID", "STATUS", "REQUEST", "TIMES OUT", "TRIED AGAIN")
        print_table(heads, [(request.id, request.status, request.request_id, request.timeout_at, request.retry_at)])
    else:
        print_table(("ID", "OUTCOME", "ANSWER", "BY", "TRUST"), [_row(request.id, request.outcome)])


def exit_status(request: AskedRequest) -> int:
    """Of `--wait`: 0 where a person answered."""
    return 0 if isinstance(request.outcome, Answered) else NO_ANSWER


def _row(request_id: str, outcome: AskOutcome) -> tuple[Any, ...]:
    kind = msgspec.to_builtins(outcome)["kind"]
    if not isinstance(outcome, Answered):
        return request_id, kind, None, None, outcome.trust
    by = outcome.reviewer and (outcome.reviewer.name or outcome.reviewer.email or outcome.reviewer.id)
    return request_id, kind, cut(json.dumps(outcome.response, ensure_ascii=False)), cut(by), outcome.trust
