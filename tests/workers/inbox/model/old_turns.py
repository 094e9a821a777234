"""The turn as it was before evidence had classes (`accept.lua` at the time): who holds it could wait behind itself."""

from tests.workers.inbox.model.rules import Rules
from tests.workers.inbox.model.state import Event, Member


class OldTurns(Rules):
    """Only the turn differs: the line goes by the vendor's time alone, and routing anew drops what has not begun."""

    def class_of(self, key: str) -> tuple[int, int]:
        return 0, self.request.events[key].order

    def take_turn(self, key: str, member: Member) -> bool:
        request, holder = self.request, self.request.turn
        if member[0]:  # an effect: claim.lua
            if holder in ("", key):
                request.turn = key
                return True
            request.turns[member] = self.class_of(key)
            return False
        if holder not in request.events:
            request.turn = key
            return True
        begun = request.events[holder].state != "due" or ("", holder) in request.leases
        if not begun and request.events[holder].order > request.events[key].order:
            request.due.discard(("", holder))
            request.turns["", holder] = self.class_of(holder)
            request.turn = key
            return True
        request.turns[member] = self.class_of(key)
        return False

    def hold(self, key: str) -> None:
        """Only what stood first left the line."""
        request = self.request
        request.turn = key
        own = [member for member in request.turns if member[1] == key]
        if own:
            first = min(own)
            del request.turns[first]
            request.due.add(first)

    def route_anew(self, key: str) -> None:
        """It goes through the routes again unless something of it began, and takes the turn that it may hold."""
        request, event = self.request, self.request.events[key]
        if event.state == "due" or any(effect.begun for effect in event.effects.values()):
            return
        for name in event.effects:
            for places in (request.due, request.later):
                places.discard((name, key))
            request.turns.pop((name, key), None)
            if request.effect.get(name) == key:
                del request.effect[name]
        event.effects.clear()
        event.state = "due"
        self.make_routable(key)

    def begins_at_once(self, event: Event) -> bool:
        return not event.suspect
