"""Bodies of events that are not about a request: one function for each documented form."""

from hitlsh.samples.context import Json, SampleContext, fresh_id


def member_joined(context: SampleContext) -> Json:
    counts = {"member_count": 3, "active_count": 2, "pending_count": 1}
    member = context.member | {"status": "active", "joined_at": context.now, "role": "member"}
    return context.event("loop.member_joined", data={"loop": context.loop | counts, "member": member})


def make_workflow(context: SampleContext) -> Json:
    return context.event(
        "execution.completed",
        execution_id=f"exec_{fresh_id()}",
        workflow_id=f"wf_{fresh_id()}",
        status="completed",
        response_data=context.answer("approve"),
        response_by_user=context.user,
        response_time_seconds=360.0,
    )


def loop_archived(context: SampleContext) -> Json:
    archived = {"loop_id": context.loop["id"], "archived_by": fresh_id(), "archived_at": context.now}
    return context.event("loop.archived", data=archived)


def user_joined(context: SampleContext) -> Json:
    return context.event("user.joined", data={"user_id": context.reviewer["user_id"], "joined_at": context.now})


def system_error(context: SampleContext) -> Json:
    error = {
        "error_code": "DELIVERY_DELAYED",
        "error_message": f"Deliveries are late since {context.now}",
        "affected_service": fresh_id(),
        "severity": "warning",
    }
    return context.event("system.error", data=error)


def turn_resolved(context: SampleContext) -> Json:
    session_id = fresh_id()
    turn = {
        "id": fresh_id(),
        "session_id": session_id,
        "turn_number": 2,
        "request_id": context.request_id,
        "action_type": "command_exec",
        "agent_prompt": "Run the migration",
        "proposed_tool": "Bash",
        "proposed_args": {"command": "make migrate"},
        "human_decision": context.answer("approve"),
        "human_comment": None,
        "created_at": context.created_at,
    }
    return context.event("turn.resolved", session_id=session_id, turn=turn)


def legacy(context: SampleContext) -> Json:
    review = {
        "id": context.request_id,
        "status": "completed",
        "result": {"approved": context.answer(True), "feedback": "The parcel came back"},
        "completed_at": context.now,
    }
    return context.event("review.completed", review=review)
