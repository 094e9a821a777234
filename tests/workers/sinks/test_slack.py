import pytest

from tests.workers.sinks.target import Target, reply
from workers.errors import GiveUp, RetryLater
from workers.sinks import Slack
from workers.testing import completed, timed_out


async def test_a_line_is_posted_for_each_decision(hook: Target) -> None:
    await Slack(hook.url, "{reviewer}: {response} for {state.invoice}").send(completed(state={"invoice": 7}))

    assert hook.received[0].headers["content-type"] == "application/json"
    assert hook.received[0].json() == {"text": "Robin Example: Approve for 7"}


async def test_values_can_mention_nobody(hook: Target) -> None:
    await Slack(hook.url, "<!here> {response}").send(completed("<!channel> & <https://a.example|click>"))

    assert hook.received[0].json()["text"] == ("<!here> &lt;!channel&gt; &amp; &lt;https://a.example|click&gt;")


@pytest.mark.parametrize(("answer", "text"), [(False, "false"), (0, "0"), ("", '""'), ([], "[]"), (" ", '" "')])
async def test_a_falsy_answer_is_shown(hook: Target, answer: object, text: str) -> None:
    await Slack(hook.url, "{response}").send(completed(answer))

    assert hook.received[0].json() == {"text": text}


async def test_a_timeout_is_shown_as_such(hook: Target) -> None:
    await Slack(hook.url, "{outcome}: {response} by {reviewer}, else {default_response}").send(timed_out("Reject"))

    assert hook.received[0].json() == {"text": "timeout: none by none, else Reject"}


async def test_slack_may_delay_or_refuse_a_post(hook: Target) -> None:
    sink = Slack(hook.url, "{response}")
    hook.answer(reply(429, b"", Retry_After="7"), reply(404, b"no_service"))

    with pytest.raises(RetryLater, match="again in 7 s"):
        await sink.send(completed())
    with pytest.raises(GiveUp, match="404 Not Found: no_service"):
        await sink.send(completed())
