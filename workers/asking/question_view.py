"""Builds an `AskedRequest` from the question's record and the inbox's records of its requests. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from hitlsh.asking.ask_outcomes import Answered, AskOutcome, Cancelled, Conflicted, Lost, TimedOut
from hitlsh.asking.asked_request import AskedRequest, AskStatus, AskStep
from hitlsh.canonical_answers import canonical_answer
from hitlsh.events import Trust
from hitlsh.request_details import RequestDetails, read_details
from workers.completion import KnownDetails
from workers.decision import Decision
from workers.inbox.event_records import EventRecord
from workers.inbox.questions.question_records import QuestionRecord, QuestionStep, StoredQuestion
from workers.inbox.request_records import RequestRecord
from workers.trust import LEVELS

#: Events in these states are no evidence for the request.
_NOT_EVIDENCE = frozenset({"misused", "stale"})


class QuestionEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The inbox's records of the requests of one question."""

    requests: Mapping[str, RequestRecord]
    events: Mapping[str, EventRecord]


def asked_request(stored: StoredQuestion, evidence: QuestionEvidence, trust: Trust = "callback") -> AskedRequest:
    """The asked request. `trust`: the least trust that the reader demands, in addition to the question's own."""
    record, step = stored.record, stored.record.step
    min_trust = max(trust, record.question.trust, key=LEVELS.__getitem__)
    outcome = trusted_outcome(record, evidence, min_trust)
    return AskedRequest(
        id=record.id,
        key=record.question.key,
        status=_status(record, outcome),
        request_id=step.request_id,
        text=record.question.text,
        response_type=record.question.response_type,
        asked_at=_moment(step.asked_at),
        timeout_at=_moment(step.timeout_at),
        steps=tuple(_step(step) for step in record.steps),
        outcome=outcome,
        late_answers=tuple(_late_answers(record, evidence, outcome)),
        trust=record.question.trust,
        retry_at=_moment(record.retry_at) if outcome is None and step.request_id is None else None,
        version=stored.version,
    )


def trusted_outcome(record: QuestionRecord, evidence: QuestionEvidence, min_trust: Trust) -> AskOutcome | None:
    """The outcome of the question; None while it is open or its outcome has less trust.

    An answer that was not offered must be confirmed, as for handlers: it may be forged.
    """
    outcome = current_outcome(record, evidence)
    if outcome is None or LEVELS[outcome.trust] < LEVELS[min_trust] or _is_doubtful(record, outcome):
        return None
    if isinstance(outcome, TimedOut) and not record.is_last_step:
        return None  # the next loop is asked
    return outcome


def demanded_trust(record: QuestionRecord, evidence: QuestionEvidence, trust: Trust = "callback") -> Trust:
    """The trust that the outcome must have if the reader demands `trust`."""
    outcome = current_outcome(record, evidence)
    if outcome is not None and _is_doubtful(record, outcome):
        return "confirmed"
    return max(trust, record.question.trust, key=LEVELS.__getitem__)


def _is_doubtful(record: QuestionRecord, outcome: AskOutcome) -> bool:
    if not isinstance(outcome, Answered) or outcome.trust == "confirmed":
        return False
    labels = () if outcome.label is None else (outcome.label,)
    return not canonical_answer(outcome.response, labels, question_details(record)).is_offered


def current_outcome(record: QuestionRecord, evidence: QuestionEvidence) -> AskOutcome | None:
    """The outcome of the current step with any trust; None while it is open."""
    if record.ended is not None:
        return record.ended
    request_id = record.step.request_id
    request = evidence.requests.get(request_id) if request_id is not None else None
    outcome = None if request is None else _outcome_of_request(record.step, record, request, evidence.events)
    if outcome is None and record.cancelled_at is not None:
        return Cancelled(responded_at=_moment(record.cancelled_at), trust="confirmed")
    return outcome


def _outcome_of_request(
    step: QuestionStep, record: QuestionRecord, request: RequestRecord, events: Mapping[str, EventRecord]
) -> AskOutcome | None:
    event = events.get(request.event or "")
    if request.outcome is None or event is None:
        return Lost(reason="HITL.sh no longer knows the request") if request.status == "lost" else None
    decided = _outcome_of_event(step, record, event)
    if not request.is_contested or decided is None:
        return decided
    outcomes = [
        _outcome_of_event(step, record, each) for each in _ending_events(request, events) if each.trust == event.trust
    ]
    return Conflicted(outcomes=tuple(each for each in outcomes if each is not None), trust=event.trust)


def _late_answers(
    record: QuestionRecord, evidence: QuestionEvidence, outcome: AskOutcome | None
) -> Iterator[AskOutcome]:
    for number, step in enumerate(record.steps[: record.current + 1]):
        request = evidence.requests.get(step.request_id or "")
        if request is None:
            continue
        is_current = number == record.current
        if is_current and (outcome is None or isinstance(outcome, Conflicted)):
            continue
        for event in _ending_events(request, evidence.events):
            is_decision = is_current and event.key == request.event
            late_outcome = _outcome_of_event(step, record, event)
            if isinstance(late_outcome, Answered) and not is_decision and late_outcome != outcome:
                yield late_outcome


def _ending_events(request: RequestRecord, events: Mapping[str, EventRecord]) -> Iterator[EventRecord]:
    """Every event that ends the request, oldest first."""
    for key in request.history:
        event = events.get(key)
        if event is None or event.stored is None or event.state in _NOT_EVIDENCE:
            continue
        if event.stored.event.outcome is not None and event.overruled not in ("open", "missing"):
            yield event


def _outcome_of_event(
    step: QuestionStep, record: QuestionRecord, event: EventRecord
) -> Answered[Any] | TimedOut | Cancelled | None:
    if event.stored is None:
        return None
    details = KnownDetails(asked=question_details(record))
    decision = Decision.from_stored(msgspec.structs.replace(event.stored, known_details=details))
    match decision.outcome:
        case "completed":
            return Answered(
                response=decision.response,
                label=decision.label,
                default_response=decision.default_response,
                reviewer=decision.reviewer,
                responded_at=decision.occurred_at,
                trust=decision.trust,
            )
        case "timeout":
            # A forged timeout may arrive long before its time.
            due = _moment(step.timeout_at) or decision.received_at
            moment = decision.occurred_at or min(due, decision.received_at)
            return TimedOut(default_response=decision.default_response, responded_at=moment, trust=decision.trust)
        case "cancelled":
            return Cancelled(responded_at=decision.occurred_at, trust=decision.trust)
    return None


def question_details(record: QuestionRecord) -> RequestDetails:
    """The details of the question, as the inbox stores them for handlers."""
    question = record.question
    answerable = question.question()
    return read_details(
        {
            "request_text": question.text,
            "context": question.context,
            "response_type": answerable.response_type,
            "response_config": answerable.response_config,
            "default_response": answerable.default(question.default_response),
            "priority": question.priority,
        }
    )


def _status(record: QuestionRecord, outcome: AskOutcome | None) -> AskStatus:
    if outcome is not None:
        return "ended"
    if record.step.request_id is not None:
        return "open"
    # Between two steps the first loop has been asked already.
    return "asking" if record.step.begun_at is not None or record.current > 0 else "queued"


def _step(step: QuestionStep) -> AskStep:
    return AskStep(
        loop=step.loop,
        request_id=step.request_id,
        asked_at=_moment(step.asked_at),
        timeout_at=_moment(step.timeout_at),
        outcome=step.outcome,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
