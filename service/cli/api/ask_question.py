"""`hitl-receiver api ask`: ask a question that the inbox does not track."""

import click

from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_requests, raw_json_option
from service.cli.api.question_options import NO_ANSWER, QuestionOptions, question_options, show_created


@click.command("ask")
@question_options
@click.option("--wait", "waiting", is_flag=True, help="Poll for the outcome. Exit code 3: nobody answered.")
@click.option("--every", type=float, help="Seconds between polls, instead of 5, 10, 30, 60, 120, 300, …")
@raw_json_option
def ask_question(question: QuestionOptions, waiting: bool, every: float | None, json_wanted: bool) -> None:
    """Ask the reviewers of a loop. With --wait, print the response.

    The inbox does not track this request. `hitl-receiver ask` tracks it, and waits for the webhook instead of
    polling.
    """
    with client_from_environment() as client:
        created = question.create_request(client, question.loop, question.callback_url)
        request = client.requests.wait(created.request_id, every=every) if waiting else None
    if request is None:
        show_created(created, json_wanted)
    else:
        print_requests(request, [request], json_wanted)
        click.get_current_context().exit(0 if request.answer is not None else NO_ANSWER)
