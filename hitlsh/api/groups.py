"""The groups of calls that both clients offer."""

from typing import Generic

from hitlsh.api.calls import accounts, chains, loops, request_lists, requests, sessions, uploads, webhooks, workflows
from hitlsh.api.descriptors import ApiListMethod, ApiMethod, Group, Mode, Runner


class LoopsApi(Group[Mode], Generic[Mode]):
    """Loops: groups of reviewers."""

    create = ApiMethod(loops.create)
    list = ApiMethod(loops.list_all)
    get = ApiMethod(loops.get)
    update = ApiMethod(loops.update)
    delete = ApiMethod(loops.delete)
    members = ApiMethod(loops.members)
    remove_member = ApiMethod(loops.remove_member)


class RequestsApi(Group[Mode], Generic[Mode]):
    """Requests to the reviewers of a loop."""

    create = ApiMethod(requests.create)
    list = ApiListMethod(request_lists.list_all)
    page = ApiMethod(request_lists.page)
    list_of_loop = ApiMethod(request_lists.list_of_loop)
    get = ApiMethod(requests.get)
    wait = ApiMethod(requests.wait)
    cancel = ApiMethod(requests.cancel)
    update = ApiMethod(requests.update)
    feedback = ApiMethod(requests.feedback)


class UploadsApi(Group[Mode], Generic[Mode]):
    """Uploads: files to show in a request."""

    image = ApiMethod(uploads.image)
    document = ApiMethod(uploads.document)


class ChainsApi(Group[Mode], Generic[Mode]):
    """Approval chains."""

    create = ApiMethod(chains.create)
    get = ApiMethod(chains.get)
    decide = ApiMethod(chains.decide)


class SessionsApi(Group[Mode], Generic[Mode]):
    """Sessions of coding agents and their turns."""

    create = ApiMethod(sessions.create)
    list = ApiListMethod(sessions.list_all)
    get = ApiMethod(sessions.get)
    update = ApiMethod(sessions.update)
    pause = ApiMethod(sessions.pause)
    resume = ApiMethod(sessions.resume)
    complete = ApiMethod(sessions.complete)
    create_turn = ApiMethod(sessions.create_turn)
    turns = ApiMethod(sessions.turns)
    get_turn = ApiMethod(sessions.get_turn)
    wait_for_turn = ApiMethod(sessions.wait_for_turn)
    decide_turn = ApiMethod(sessions.decide_turn)
    report_action = ApiMethod(sessions.report_action)


class WorkflowsApi(Group[Mode], Generic[Mode]):
    """Workflows."""

    trigger = ApiMethod(workflows.trigger)


class WebhooksApi(Group[Mode], Generic[Mode]):
    """Webhook management, a future endpoint of HITL.sh."""

    create = ApiMethod(webhooks.create)
    rotate_secret = ApiMethod(webhooks.rotate_secret)
    test = ApiMethod(webhooks.test)


class ApiGroups(Group[Mode], Generic[Mode]):
    """All groups of calls."""

    test = ApiMethod(accounts.test)

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner)
        self.loops: LoopsApi[Mode] = LoopsApi(runner)
        self.requests: RequestsApi[Mode] = RequestsApi(runner)
        self.uploads: UploadsApi[Mode] = UploadsApi(runner)
        self.chains: ChainsApi[Mode] = ChainsApi(runner)
        self.sessions: SessionsApi[Mode] = SessionsApi(runner)
        self.workflows: WorkflowsApi[Mode] = WorkflowsApi(runner)
        self.webhooks: WebhooksApi[Mode] = WebhooksApi(runner)
