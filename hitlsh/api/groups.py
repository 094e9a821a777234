"""All calls, in the groups under which both clients offer them."""

from typing import Generic

from hitlsh.api.calls import accounts, chains, loops, request_lists, requests, sessions, uploads, webhooks, workflows
from hitlsh.api.descriptors import Call, Group, Mode, Pages, Runner


class Loops(Group[Mode], Generic[Mode]):
    """Groups of reviewers."""

    create = Call(loops.create)
    list = Call(loops.list_all)
    get = Call(loops.get)
    update = Call(loops.update)
    delete = Call(loops.delete)
    members = Call(loops.members)
    remove_member = Call(loops.remove_member)


class Requests(Group[Mode], Generic[Mode]):
    """What is asked of people."""

    create = Call(requests.create)
    list = Pages(request_lists.list_all)
    page = Call(request_lists.page)
    list_of_loop = Call(request_lists.list_of_loop)
    get = Call(requests.get)
    wait = Call(requests.wait)
    cancel = Call(requests.cancel)
    update = Call(requests.update)
    feedback = Call(requests.feedback)


class Uploads(Group[Mode], Generic[Mode]):
    """Files to show in a request."""

    image = Call(uploads.image)
    document = Call(uploads.document)


class Chains(Group[Mode], Generic[Mode]):
    """Approval chains."""

    create = Call(chains.create)
    get = Call(chains.get)
    decide = Call(chains.decide)


class Sessions(Group[Mode], Generic[Mode]):
    """Coding agents and their turns."""

    create = Call(sessions.create)
    list = Pages(sessions.list_all)
    get = Call(sessions.get)
    update = Call(sessions.update)
    pause = Call(sessions.pause)
    resume = Call(sessions.resume)
    complete = Call(sessions.complete)
    create_turn = Call(sessions.create_turn)
    turns = Call(sessions.turns)
    get_turn = Call(sessions.get_turn)
    wait_for_turn = Call(sessions.wait_for_turn)
    decide_turn = Call(sessions.decide_turn)
    report_action = Call(sessions.report_action)


class Workflows(Group[Mode], Generic[Mode]):
    """Workflows to start."""

    trigger = Call(workflows.trigger)


class Webhooks(Group[Mode], Generic[Mode]):
    """Webhook management, a future endpoint of HITL.sh."""

    create = Call(webhooks.create)
    rotate_secret = Call(webhooks.rotate_secret)
    test = Call(webhooks.test)


class Groups(Group[Mode], Generic[Mode]):
    """Everything a client offers."""

    test = Call(accounts.test)

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner)
        self.loops: Loops[Mode] = Loops(runner)
        self.requests: Requests[Mode] = Requests(runner)
        self.uploads: Uploads[Mode] = Uploads(runner)
        self.chains: Chains[Mode] = Chains(runner)
        self.sessions: Sessions[Mode] = Sessions(runner)
        self.workflows: Workflows[Mode] = Workflows(runner)
        self.webhooks: Webhooks[Mode] = Webhooks(runner)
