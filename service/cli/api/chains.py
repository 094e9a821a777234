"""``hitl-receiver api chain``: approval chains."""

from typing import Literal

import click

from hitlsh.api.calls.chains import ApprovalStep
from hitlsh.api.models.optional import ApprovalChain
from service.cli.api.client import client_from_environment
from service.cli.api.printing import print_resource, raw_json_option
from service.cli.options import NameChoice


@click.group("chain")
def chain() -> None:
    """Manage the approval chain of a request."""


@chain.command("create")
@click.argument("request_id")
@click.option("--org", "org_id", required=True, help="Id of the organisation.")
@click.option("--mode", default="sequential", show_default=True, type=NameChoice(("sequential", "parallel")))
@click.option("--approver", "steps", metavar="ID[,ID…]", multiple=True, required=True,
              help="The approvers of one step. Repeat it for each step.")  # fmt: skip
@click.option("--require-all", is_flag=True, help="Every approver of a step must approve.")
@raw_json_option
def create_chain(
    request_id: str,
    org_id: str,
    mode: Literal["sequential", "parallel"],
    steps: tuple[str, ...],
    require_all: bool,
    json_wanted: bool,
) -> None:
    """Create an approval chain for a request."""
    approvals = [
        ApprovalStep(approver_ids=tuple(filter(None, approvers.split(","))), require_all=require_all)
        for approvers in steps
    ]
    with client_from_environment() as client:
        created = client.chains.create(request_id, org_id=org_id, mode=mode, steps=approvals)
    _show(created, json_wanted)


@chain.command("get")
@click.argument("request_id")
@raw_json_option
def get_chain(request_id: str, json_wanted: bool) -> None:
    """Show the approval chain of a request."""
    with client_from_environment() as client:
        approval_chain = client.chains.get(request_id)
    _show(approval_chain, json_wanted)


@chain.command("decide")
@click.argument("chain_id")
@click.argument("decision", type=NameChoice(("approve", "reject")))
@click.option("--step", "step_order", default=1, show_default=True, type=click.IntRange(1), help="Number of the step.")
@click.option("--comment")
@raw_json_option
def decide_step(
    chain_id: str, decision: Literal["approve", "reject"], step_order: int, comment: str | None, json_wanted: bool
) -> None:
    """Approve or reject a step as one of its approvers."""
    with client_from_environment() as client:
        decided = client.chains.decide(chain_id, step_order=step_order, decision=decision, comment=comment)
    if decided is None:
        print_resource((), ("ID", "MODE", "STATUS", "STEPS"), [(chain_id, None, None, None)], json_wanted)
    else:
        _show(decided, json_wanted)


def _show(chain: ApprovalChain, json_wanted: bool) -> None:
    steps = ", ".join(f"{step.step_order}: {step.status or 'unknown'}" for step in chain.steps)
    print_resource(chain, ("ID", "MODE", "STATUS", "STEPS"), [(chain.id, chain.mode, chain.status, steps)], json_wanted)


COMMANDS: tuple[click.Command, ...] = (chain,)
