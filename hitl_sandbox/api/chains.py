"""Approval chains."""

from starlette.routing import Route

from hitl_sandbox.api.access import path_request
from hitl_sandbox.api.call import ApiCall, ApiReply, endpoint
from hitl_sandbox.errors import Refusal
from hitl_sandbox.model.approval_chains import STEP_STATUS, StoredChain, chain_object, decide, read_steps


async def create_chain(call: ApiCall) -> ApiReply:
    request, body = path_request(call), await call.body()
    mode, org_id = body.get("mode"), body.get("org_id")
    if mode not in ("sequential", "parallel") or not isinstance(org_id, str):
        raise Refusal(400, "Invalid request body")
    steps = read_steps(body, mode)
    if call.parts.state.store.find(StoredChain, parent=request.id):
        raise Refusal(409, "Approval chain already exists for this request")
    chain = StoredChain(
        id=call.parts.state.new_id(),
        request_id=request.id,
        org_id=org_id,
        mode="sequential" if mode == "sequential" else "parallel",
        steps=steps,
        created_at=call.parts.state.now(),
    )
    call.parts.state.store.put(chain)
    data = {"approval_chain": chain_object(chain)}
    return ApiReply(status=201, msg="Approval chain created successfully", data=data)


async def get_chain(call: ApiCall) -> ApiReply:
    chains = call.parts.state.store.find(StoredChain, parent=path_request(call).id)
    if not chains:
        raise Refusal(404, "Approval chain not found")
    data = {"approval_chain": chain_object(chains[0])}
    return ApiReply(msg="Approval chain retrieved successfully", data=data)


async def decide_step(call: ApiCall) -> ApiReply:
    chain = call.parts.state.store.get(StoredChain, call.object_id("chain_id", "chain"))
    if chain is None:
        raise Refusal(404, "Approval chain not found")
    body = await call.body()
    order, decision, comment = body.get("step_order"), body.get("decision"), body.get("comment")
    if isinstance(order, bool) or not isinstance(order, int) or not isinstance(comment, str | None):
        raise Refusal(400, "Invalid request body")
    if decision not in STEP_STATUS:
        raise Refusal(400, "Decision must be 'approve' or 'reject'")
    decided = decide(
        chain,
        order=order,
        user_id=call.key.user_id,
        decision="approve" if decision == "approve" else "reject",
        comment=comment,
        now=call.parts.state.now(),
    )
    call.parts.state.store.put(decided)
    return ApiReply(msg="Decision submitted successfully", data={"approval_chain": chain_object(decided)})


routes = [
    Route("/requests/{request_id}/approval-chain", endpoint(create_chain), methods=["POST"]),
    Route("/requests/{request_id}/approval-chain", endpoint(get_chain)),
    Route("/approval-chains/{chain_id}/decide", endpoint(decide_step), methods=["POST"]),
]
