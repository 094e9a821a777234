"""Bodies about anything but a request, one function per documented form."""

from hitlsh.samples.context import Json, Scene, fresh_id


def member_joined(scene: Scene) -> Json:
    counts = {"member_count": 3, "active_count": 2, "pending_count": 1}
    member = scene.member | {"status": "active", "joined_at": scene.now, "role": "member"}
    return scene.event("loop.member_joined", data={"loop": scene.loop | counts, "member": member})


def make_workflow(scene: Scene) -> Json:
    return scene.event(
        "execution.completed",
        execution_id=f"exec_{fresh_id()}",
        workflow_id=f"wf_{fresh_id()}",
        status="completed",
        response_data=scene.answer("approve"),
        response_by_user=scene.user,
        response_time_seconds=360.0,
    )


def loop_archived(scene: Scene) -> Json:
    archived = {"loop_id": scene.loop["id"], "archived_by": fresh_id(), "archived_at": scene.now}
    return scene.event("loop.archived", data=archived)


def user_joined(scene: Scene) -> Json:
    return scene.event("user.joined", data={"user_id": scene.reviewer["user_id"], "joined_at": scene.now})


def system_error(scene: Scene) -> Json:
    fault = {
        "error_code": "DELIVERY_DELAYED",
        "error_message": f"Deliveries are late since {scene.now}",
        "affected_service": fresh_id(),
        "severity": "warning",
    }
    return scene.event("system.error", data=fault)


def turn_resolved(scene: Scene) -> Json:
    session_id = fresh_id()
    turn = {
        "id": fresh_id(),
        "session_id": session_id,
        "turn_number": 2,
        "request_id": scene.request_id,
        "action_type": "command_exec",
        "agent_prompt": "Run the migration",
        "proposed_tool": "Bash",
        "proposed_args": {"command": "make migrate"},
        "human_decision": scene.answer("approve"),
        "human_comment": None,
        "created_at": scene.asked_at,
    }
    return scene.event("turn.resolved", session_id=session_id, turn=turn)


def legacy(scene: Scene) -> Json:
    review = {
        "id": scene.request_id,
        "status": "completed",
        "result": {"approved": scene.answer(True), "feedback": "The parcel came back"},
        "completed_at": scene.now,
    }
    return scene.event("review.completed", review=review)
