"""The state that all parts of a sandbox share."""

from hitl_sandbox.change_notifier import ChangeNotifier
from hitl_sandbox.clock import SandboxClock
from hitl_sandbox.faults import Faults
from hitl_sandbox.model.ids import IdGenerator, digest_id
from hitl_sandbox.model.records import ApiKey
from hitl_sandbox.model.store import Store
from hitl_sandbox.settings import SandboxSettings


class SandboxState:
    """Settings, clock, store, faults and identifiers; ``reset`` returns all of them to their initial state."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.initial = settings
        self.settings = settings
        self.store = Store(settings.db)
        self.changes = ChangeNotifier()
        self._initialize(settings.seed)

    def _initialize(self, seed: int | None) -> None:
        self.clock = SandboxClock(self.settings.speed, self.settings.start)
        self.ids = IdGenerator(seed)
        self.faults = Faults(seed)
        for token, email in self.settings.keys.items():
            self.add_key(token, email)

    def reset(self, seed: int | None = None) -> None:
        self.settings = self.initial
        self.store.clear()
        self._initialize(self.initial.seed if seed is None else seed)
        self.changes.notify()

    def add_key(self, token: str, email: str, *, active: bool = True) -> ApiKey:
        key = ApiKey(id=digest_id(f"key:{token}"), user_id=digest_id(email), email=email, active=active)
        return self.store.put(key)

    def now(self) -> float:
        return self.clock.now()

    def new_id(self) -> str:
        return self.ids.object_id(self.now())
