"""The rules of evidence, turns, confirmation and suspects, for one request: the reference for `workers/inbox/**/*.lua`.

Each method stands for the Lua function of the same name and changes `self.request`. Times are left out: what is due
later may be due at any moment, and a lease may run out at any moment.
"""

from collections.abc import Iterable

from tests.workers.inbox.model.state import (
    CONFIRMED,
    ENDED_STATES,
    NOBODY,
    OPEN_STATES,
    Effect,
    Event,
    Member,
    Request,
    Route,
)  # fmt: skip

#: How often HITL.sh is asked before what it does not confirm is denied.
DOUBTS = 3
#: As often is an outcome heard again after HITL.sh denied it, whatever its trust.
GENERATIONS = 6


class Rules:
    """One step at a time."""

    def __init__(self, request: Request, routes: Iterable[Route]) -> None:
        self.request = request
        self.routes = tuple(routes)

    # -- request_turns.lua --------------------------------------------------------------------------------------------

    def class_of(self, key: str) -> tuple[int, int]:
        """The place of an event in the line: a higher class first (its number is negative), then the vendor's time."""
        event = self.request.events[key]
        return (-(2 * event.trust - event.conflict) if event.outcome else 0, event.order)

    def hold(self, key: str) -> None:
        """The event holds the turn: nothing of it waits for that any more."""
        request = self.request
        request.turn = key
        own = [member for member in request.turns if member[1] == key]
        for member in own:
            del request.turns[member]
        request.due.update(own)

    def pass_turn(self, key: str) -> None:
        """The event had its turn: whatever waits first is next."""
        request = self.request
        if request.turn not in ("", key):
            return
        if not request.turns:
            request.turn = ""
            return
        self.hold(min(request.turns, key=lambda member: (request.turns[member], member))[1])

    def rest(self, key: str) -> None:
        """Nothing of the event runs or is to be routed: the next may go on."""
        if not self.request.active(key) and not self.request.is_in_due(("", key)):
            self.pass_turn(key)

    def has_active_effect(self, key: str) -> bool:
        """An effect of the event runs, or is about to."""
        return self.request.active(key) or any(handler and event == key for handler, event in self.request.due)

    def take_turn(self, key: str, member: Member) -> bool:
        """Whether the event may begin with `member`; else that stands in `turns`."""
        request = self.request
        holder = request.turn
        if holder == key:
            return True
        if holder and holder in request.events:
            routing = ("", holder)
            runs = self.has_active_effect(holder)
            if request.is_in_due(routing) or runs:
                leased = routing in request.leases
                (its_class, its_order), (own_class, order) = self.class_of(holder), self.class_of(key)
                must_wait = leased and its_class < 0
                begun = leased or runs
                if must_wait or own_class > its_class or (own_class == its_class and (begun or order >= its_order)):
                    request.turns[member] = (own_class, order)
                    return False
                if routing in request.due:
                    request.due.discard(routing)
                    request.turns[routing] = (its_class, its_order)
        self.hold(key)
        return True

    def is_outranked(self, key: str) -> bool:
        """Something of a higher class waits."""
        return bool(self.request.turns) and min(self.request.turns.values())[0] < self.class_of(key)[0]

    def make_routable(self, key: str) -> None:
        """Have the event routed, as soon as the turn is its own."""
        if self.take_turn(key, ("", key)):
            self.request.due.add(("", key))

    # -- evidence.lua ------------------------------------------------------------------------------------------------

    def is_confirmable(self, key: str) -> bool:
        """Stronger evidence of the event may come: not once another outcome is confirmed."""
        event, decision = self.request.events[key], self.request.events.get(self.request.decision)
        if not event.outcome or event.trust == CONFIRMED or event.overruled == "open":
            return False
        return decision is None or decision.trust < CONFIRMED

    def disagree(self, key: str, other: str) -> bool:
        """Two outcomes differ, as far as is known."""
        return not self.request.is_one_answer and key.partition("~")[0] != other.partition("~")[0]

    def waits_for_confirmation(self) -> bool:
        request = self.request
        return request.contested or any(
            effect.state == "unconfirmed" for event in request.events.values() for effect in event.effects.values()
        )

    def end_wait(self) -> None:
        """If nobody waits for confirmation any more, no call is worth making once the request has ended."""
        if self.waits_for_confirmation():
            return
        self.request.doubts = 0
        if self.request.decision:
            self.request.check = False

    def release_waiting(self, key: str, level: int) -> None:
        """The event has evidence of this level now: effects that waited for it are due."""
        for name, effect in self.request.events[key].effects.items():
            if effect.state == "unconfirmed" and effect.needs <= level:
                effect.state = "due"
                self.request.due.add((name, key))
        self.end_wait()

    def await_evidence(self, name: str, key: str, needs: int) -> None:
        effect = self.request.events[key].effects[name]
        effect.state, effect.needs = "unconfirmed", needs
        self.request.check = True

    def withdraw(self, name: str, key: str) -> None:
        """The effect is not begun, or not begun again: stronger evidence speaks."""
        request, effect = self.request, self.request.events[key].effects[name]
        member, was_waiting = (name, key), effect.state == "unconfirmed"
        request.due.discard(member)
        request.later.discard(member)
        request.turns.pop(member, None)
        effect.state, effect.suspect = "superseded", False
        if request.effect.get(name) == key and not effect.begun:
            del request.effect[name]
        if was_waiting:
            self.end_wait()
        self.finish_if_settled(key)
        self.rest(key)

    def supersede(self, key: str, by: str, disagrees: bool) -> None:
        """Stronger evidence speaks for the request; `by` names its event, or is `open`."""
        request, event = self.request, self.request.events[key]
        by_event = by != "open"
        event.superseded = event.superseded or by_event
        if disagrees:
            event.overruled = by
            event.conflict = event.conflict or by_event
        for name, effect in event.effects.items():
            begun = effect.begun and effect.state != "skipped"
            stays = disagrees and by_event and effect.conflict
            if begun and disagrees:
                effect.overruled = True
            if effect.state in OPEN_STATES and not stays and (disagrees or not begun):
                self.withdraw(name, key)
        self.end_wait()
        request.rivals = True
        if event.state == "due" and ("", key) not in request.leases and not (disagrees and by_event):
            self.end_routing(key)
        self.rest(key)

    def end_routing(self, key: str) -> None:
        """The event is not routed (again); what an earlier routing began goes on."""
        self.request.due.discard(("", key))
        self.request.turns.pop(("", key), None)
        self.request.leases.pop(("", key), None)
        self.request.events[key].state = "routed"
        self.finish_if_settled(key)

    def route_anew(self, key: str) -> None:
        """Have an outcome routed that was routed before, or that a worker routes, as what it was until now."""
        event = self.request.events[key]
        if ("", key) in self.request.leases:
            event.reroute = True
            return
        event.state = "due"
        self.make_routable(key)

    def begin_conflict(self, key: str, *, is_contested: bool) -> None:
        """The outcome differs from the decision after all."""
        request, event = self.request, self.request.events[key]
        if event.superseded:
            self.supersede(key, request.decision, True)
            if event.effects or ("", key) in request.leases:
                return
        else:
            event.conflict = True
            if is_contested:
                request.contested = request.check = True
        self.route_anew(key)

    def end_conflict(self, key: str) -> None:
        """The outcome is the same answer as the decision after all: nothing else begins for it."""
        event = self.request.events[key]
        event.conflict, event.overruled, event.reroute = False, "", False
        for effect in event.effects.values():
            effect.overruled = False
        self.supersede(key, self.request.decision, False)

    def decide_agreement(self) -> None:
        """What was asked becomes known: whether each other outcome differs from the decision is decided again."""
        request = self.request
        if not request.decision or not request.rivals:
            return
        decided, is_contested, has_agreed = request.events[request.decision].trust, False, False
        for key, event in list(request.events.items()):
            if key == request.decision or not event.outcome or event.overruled == "open":
                continue
            differs = self.disagree(key, request.decision)
            contests = differs and event.trust == decided < CONFIRMED
            if differs and not event.conflict:
                self.begin_conflict(key, is_contested=contests)
            elif not differs and event.conflict:
                self.end_conflict(key)
                has_agreed = True
            is_contested = is_contested or contests
        if has_agreed and not is_contested:
            request.contested = False
            self.end_wait()

    def learn_question(self) -> None:
        """The options of the question become known: what seemed one answer is two, or the other way round."""
        self.request.is_one_answer = not self.request.is_one_answer
        self.decide_agreement()

    def end_vain_waits(self) -> None:
        """The decision is confirmed: what waits for another outcome to be confirmed waits in vain."""
        request = self.request
        request.contested = False
        for key, event in request.events.items():
            for name, effect in event.effects.items():
                if key != request.decision and effect.state == "unconfirmed":
                    self.withdraw(name, key)
        self.end_wait()

    # -- prelude.lua --------------------------------------------------------------------------------------------------

    def finish(self, key: str, state: str) -> None:
        self.request.events[key].state = state

    def finish_if_settled(self, key: str) -> None:
        event = self.request.events[key]
        if event.state != "routed" or any(effect.state not in ENDED_STATES for effect in event.effects.values()):
            return
        self.finish(key, "overruled" if event.overruled else "done" if event.effects else "unrouted")

    # -- accept.lua --------------------------------------------------------------------------------------------------

    def identify(self, content: str, level: int) -> str:
        """The key under which evidence is kept: what is said again after HITL.sh denied it is a new event."""
        key = content
        for again in range(2, GENERATIONS + 2):
            kept = self.request.events.get(key)
            if kept is None or kept.overruled != "open":
                break
            key = f"{content}~{again if again <= GENERATIONS else level}"
        return key

    def accept(self, content: str, level: int, order: int) -> str:
        """Evidence of this trust arrives; answers its event."""
        request, outcome = self.request, content != "P"
        key = self.identify(content, level)
        if key in request.events:
            self.repeated(key, level)
            return key
        request.events[key] = Event(outcome=outcome, order=order, trust=level)
        if not outcome:
            self.make_routable(key)
            return key
        self.consider(key, level, is_new=True)
        if level == CONFIRMED:
            self.end_vain_waits()
        return key

    def repeated(self, key: str, level: int) -> None:
        """The same fact again; stronger evidence than there was speaks from now on."""
        event = self.request.events[key]
        if event.outcome:
            self.end_wait()
        if level <= event.trust:
            return
        event.trust = level
        if not event.outcome or not self.request.decision:
            return
        self.consider(key, level, is_new=False)
        self.release_waiting(key, level)
        if level == CONFIRMED:
            self.end_vain_waits()

    def consider(self, key: str, level: int, *, is_new: bool) -> None:
        """The event has evidence of a level that is new for it: does it speak for its request?"""
        request = self.request
        if not request.decision:
            request.decision, request.speaks[level], request.check = key, key, False
            if request.turn:
                self.make_routable(key)
            else:
                self.hold(key)
                request.due.add(("", key))
            return
        request.speaks.setdefault(level, key)
        if request.decision == key:
            return
        differs = self.disagree(key, request.decision)
        if level > request.events[request.decision].trust:
            self.take_over(key, differs, is_new=is_new)
        else:
            self.stand_aside(key, level, differs, is_new=is_new)

    def take_over(self, key: str, differs: bool, *, is_new: bool) -> None:
        """Stronger evidence than that of the decision: the event is the decision now."""
        request, event = self.request, self.request.events[key]
        decision, request.decision = request.decision, key
        self.supersede(decision, key, differs)
        event.conflict, event.overruled, event.superseded = False, "", False
        for effect in event.effects.values():
            effect.overruled = False
        if is_new:
            self.make_routable(key)
        else:
            self.route_anew(key)

    def stand_aside(self, key: str, level: int, differs: bool, *, is_new: bool) -> None:
        """The decision stands. What differs from it is a conflict; what cannot be compared with it is kept."""
        request, event = self.request, self.request.events[key]
        request.rivals = True
        if not differs:
            if is_new:
                self.finish(key, "unrouted")
            return
        event.conflict = True
        if level == request.events[request.decision].trust < CONFIRMED:
            request.contested = request.check = True
        if is_new:
            self.make_routable(key)

    # -- save_reconcile_notes.lua -------------------------------------------------------------------------------------

    def open(self) -> None:
        """HITL.sh shows the request as open."""
        request = self.request
        if not self.waits_for_confirmation():
            request.check = False
            return
        request.doubts += 1
        if request.doubts >= DOUBTS:
            self.deny()

    def deny(self) -> None:
        """HITL.sh says that the request has not ended: nothing that was posted of its end is true."""
        request = self.request
        request.decision, request.speaks, request.doubts, request.contested = "", {}, 0, False
        request.check = False
        for key, event in request.events.items():
            if event.outcome and event.trust < CONFIRMED:
                self.supersede(key, "open", True)

    # -- claim.lua ---------------------------------------------------------------------------------------------------

    def is_for_routes(self, key: str) -> bool:
        """The outcome speaks for its request, or disagrees with what does."""
        event, decision = self.request.events[key], self.request.decision
        if not event.outcome:
            return True
        return event.overruled != "open" and (event.conflict or decision in ("", key))

    def claim(self, member: Member, worker: int) -> bool:
        """Lease what is due, or put it where it waits; False where this worker may not take it."""
        request = self.request
        handler, key = member
        event = request.events[key]
        effect = event.effects[handler] if handler else None
        crashed = member in request.leases
        if not handler and not self.is_for_routes(key):
            self.end_routing(key)
            self.rest(key)
            return True
        if not handler and crashed and self.is_outranked(key):
            del request.leases[member]
            event.suspect = True
            request.turns[member] = self.class_of(key)
            self.pass_turn(key)
            return True
        if crashed and effect and effect.overruled:
            del request.leases[member]
            self.withdraw(handler, key)
            return True
        suspect = effect.suspect if effect else event.suspect
        if (crashed or suspect) and worker in request.leases.values():
            return False
        if effect and not crashed and not self.take_turn(key, member):
            request.due.discard(member)
            effect.state = "waiting"
            return True
        request.due.discard(member)
        request.leases[member] = worker
        if effect:
            effect.suspect = effect.suspect or crashed
            effect.begun, effect.begun_before, effect.with_routing = True, effect.begun, False
            effect.state, effect.as_conflict = "running", event.conflict
            effect.evidence = effect.evidence or event.trust
        else:
            event.suspect = event.suspect or crashed
            event.seen = (event.trust, event.conflict, self.begins_at_once(event))
            event.reroute = False
        return True

    def begins_at_once(self, event: Event) -> bool:
        """Where the request has other outcomes, which of them has which effects is for the record to say."""
        return not event.suspect and not (event.outcome and self.request.rivals)

    # -- what a worker does with it ----------------------------------------------------------------------------------

    def wants(self, route: Route, key: str, trust: int, conflict: bool) -> bool:
        outcome = self.request.events[key].outcome
        return trust >= route.needs and (not conflict or route.conflict) and (outcome or not route.conflict)

    def waits(self, route: Route, key: str, trust: int, conflict: bool) -> bool:
        outcome = self.request.events[key].outcome
        return outcome and trust < route.needs and (not conflict or route.conflict)

    def begins(self, key: str) -> list[str]:
        """Handlers that the worker begins in the moment in which it routes the event."""
        seen = self.request.events[key].seen
        assert seen is not None
        return [route.name for route, mode in self.routed_to(key) if mode == "run"]

    def routed_to(self, key: str) -> list[tuple[Route, str]]:
        """What the worker reports of the routing: routes that run or are due, then those that wait."""
        seen = self.request.events[key].seen
        assert seen is not None
        trust, conflict, at_once = seen
        mode = "run" if at_once else "due"
        named = [(route, mode) for route in self.routes if self.wants(route, key, trust, conflict)]
        return named + [(route, "await") for route in self.routes if self.waits(route, key, trust, conflict)]

    # -- report.lua --------------------------------------------------------------------------------------------------

    def may_have_effect(self, name: str, key: str) -> bool:
        """Effects of an outcome are unique per (request, route)."""
        other = self.request.effect.get(name)
        if other and other != key and name in self.request.events[other].effects:
            effect = self.request.events[other].effects[name]
            if effect.begun and effect.state != "skipped":
                return False
            if effect.state in OPEN_STATES:
                self.withdraw(name, other)
        self.request.effect[name] = key
        return True

    def add_effect(self, route: Route, key: str, mode: str, worker: int) -> bool:
        """An effect that the event does not have, or that was withdrawn."""
        event, member = self.request.events[key], (route.name, key)
        former = event.effects.get(route.name)
        if former and former.state != "superseded":
            return False
        if mode == "await" and event.trust < route.needs and not self.is_confirmable(key):
            return False
        effect = event.effects[route.name] = former or Effect()
        if mode == "run":
            assert event.seen is not None
            effect.state, effect.begun, effect.evidence = "running", True, event.seen[0]
            effect.with_routing, effect.as_conflict = True, event.seen[1]
            self.request.leases[member] = worker
            return True
        if mode == "await" and event.trust < route.needs:
            self.await_evidence(route.name, key, route.needs)
            return True
        effect.state, effect.suspect = "due", effect.suspect or event.suspect
        self.request.due.add(member)
        return True

    def route(self, key: str) -> None:
        """A worker reports what it routed the event to."""
        request, event = self.request, self.request.events[key]
        worker = request.leases.pop(("", key))
        denied = event.overruled == "open"
        aside = event.outcome and (denied or request.decision not in ("", key))
        event.state = "routed"
        made_due = False
        for route, mode in self.routed_to(key):
            wanted = mode == "run" or not aside or (event.conflict and not denied and route.conflict)
            if wanted and event.outcome and not route.conflict and mode != "run":
                wanted = self.may_have_effect(route.name, key)
            elif wanted and event.outcome:
                if route.conflict:
                    request.effect.setdefault(route.name, key)
                else:
                    request.effect[route.name] = key
            if wanted and self.add_effect(route, key, mode, worker):
                effect = event.effects[route.name]
                effect.conflict = effect.conflict or route.conflict
                effect.overruled = effect.overruled or (mode == "run" and bool(event.overruled))
                made_due = made_due or mode == "run" or effect.state == "due"
        event.seen = None
        if event.reroute and not aside:
            event.reroute = False
            self.route_anew(key)
        else:
            self.finish_if_settled(key)
        if self.is_outranked(key):
            self.pass_turn(key)
        if not made_due:
            self.rest(key)

    def let_go(self, handler: str, key: str) -> None:
        self.request.leases.pop((handler, key), None)
        self.rest(key)

    def give_way(self, name: str, key: str) -> bool:
        """The effect did not begin after all, and its event does not speak any more: the decision may have it."""
        request, effect = self.request, self.request.events[key].effects[name]
        if not self.request.events[key].outcome or (effect.begun and effect.state != "skipped") or effect.conflict:
            return False
        if not effect.overruled and request.decision in ("", key):
            return False
        if request.effect.get(name) == key:
            del request.effect[name]
        if request.decision not in ("", key):
            self.route_anew(request.decision)
        return True

    def settle(self, member: Member, verb: str) -> None:
        """A worker reports how an attempt ended."""
        request = self.request
        name, key = member
        effect = request.events[key].effects[name]
        if verb == "unconfirmed":
            effect.begun, effect.evidence = effect.begun_before, 0
        effect.as_conflict = effect.begun_before = effect.with_routing = False
        if verb == "skipped":
            effect.state = "skipped"
        gave_way = verb in ("skipped", "retry", "unconfirmed") and self.give_way(name, key)
        if gave_way:
            state = "skipped" if verb == "skipped" else "superseded"
        elif verb in ("retry", "unconfirmed") and effect.overruled:
            state = "superseded"
        elif verb == "unconfirmed":
            needs = next(route.needs for route in self.routes if route.name == name)
            reached = request.events[key].trust >= needs
            state = "due" if reached else "unconfirmed" if self.is_confirmable(key) else "superseded"
        else:
            state = verb
        effect.state, effect.suspect = state, False
        if state == "retry":
            request.later.add(member)
        elif state == "due":
            request.due.add(member)
        elif state == "unconfirmed":
            self.await_evidence(name, key, needs)
        del request.leases[member]
        if state in ENDED_STATES:
            self.finish_if_settled(key)
        self.rest(key)

    def release(self, member: Member) -> None:
        """Given back without having begun."""
        request = self.request
        name, key = member
        del request.leases[member]
        request.due.add(member)
        if not name:
            request.events[key].seen = None
            return
        effect = request.events[key].effects[name]
        effect.begun, effect.begun_before, effect.state, effect.as_conflict = effect.begun_before, False, "due", False
        if not effect.begun:
            effect.evidence = 0
        if self.give_way(name, key) or effect.overruled:
            self.withdraw(name, key)
        self.rest(key)


def expire(request: Request, worker: int) -> None:
    """The worker died: its leases run out."""
    for member, holder in request.leases.items():
        if holder == worker:
            request.leases[member] = NOBODY
