"""The state everything in a sandbox shares."""

from hitl_sandbox.changes import Changes
from hitl_sandbox.clock import Clock
from hitl_sandbox.faults import Faults
from hitl_sandbox.model.ids import Ids, digest_id
from hitl_sandbox.model.records import Key
from hitl_sandbox.model.store import Store
from hitl_sandbox.settings import Settings


class SandboxState:
    """Settings, time, memory and mischief; ``reset`` puts all of it back to how it started."""

    def __init__(self, settings: Settings) -> None:
        self.initial = settings
        self.settings = settings
        self.store = Store(settings.db)
        self.changes = Changes()
        self._begin(settings.seed)

    def _begin(self, seed: int | None) -> None:
        self.clock = Clock(self.settings.speed, self.settings.start)
        self.ids = Ids(seed)
        self.faults = Faults(seed)
        for token, email in self.settings.keys.items():
            self.add_key(token, email)

    def reset(self, seed: int | None = None) -> None:
        self.settings = self.initial
        self.store.clear()
        self._begin(self.initial.seed if seed is None else seed)
        self.changes.announce()

    def add_key(self, token: str, email: str, *, active: bool = True) -> Key:
        key = Key(id=digest_id(f"key:{token}"), user_id=digest_id(email), email=email, active=active)
        return self.store.put(key)

    def now(self) -> float:
        return self.clock.now()

    def new_id(self) -> str:
        return self.ids.object_id(self.now())
