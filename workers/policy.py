"""How often, how far apart and how long a handler is tried."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a route says of its handler's attempts. The defaults try for about 24 hours."""

    #: Failed attempts after which the effect is a dead letter.
    attempts: int = 21
    #: Seconds; the ceiling of the first delay, doubled by every further one.
    first_delay: float = 2.0
    #: Seconds; no delay is longer.
    longest_delay: float = 6 * 3_600.0
    #: Seconds that one attempt may take.
    timeout: float = 60.0
    #: How many attempts of this handler may run at once, across all workers; None: as many as there is room for.
    concurrency: int | None = None

    def delay(self, errors: int) -> float:
        """Seconds until the next attempt after `errors` failed ones: exponential, with full jitter."""
        # Jitter, not a secret.
        return random.uniform(0, min(self.longest_delay, self.first_delay * 2 ** min(errors - 1, 64)))  # noqa: S311
