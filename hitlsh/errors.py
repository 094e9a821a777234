"""Everything hitlsh raises on purpose, below one root.

::

    HitlshError
    ├── DeliveryRefused        a webhook delivery is not accepted: answer it with ``status``
    │   ├── SignatureInvalid   401  hitlsh.signatures
    │   ├── CallbackInvalid    401  hitlsh.callbacks
    │   └── BodyInvalid        400 or 415, of a verified delivery  hitlsh.webhooks.receiving
    ├── StateInvalid           hitlsh.callbacks
    │   └── StateTooLarge
    ├── SampleInvalid          hitlsh.samples.catalog (also a ValueError)
    └── ApiError               hitlsh.api.errors, which draws its own branch

A wrong argument (no secret, a body that is not bytes) is a plain ValueError or TypeError.
"""

from typing import ClassVar


class HitlshError(Exception):
    """The root: catch this to catch whatever hitlsh refuses."""


class DeliveryRefused(HitlshError):
    """A webhook delivery is not accepted.

    The message is for operators and holds nothing of the delivery; tell the sender no more than the status.
    """

    #: The HTTP status to answer with. HITL.sh does not repeat a delivery that was answered with a 4xx.
    status: ClassVar[int] = 401
    #: A slug for logs and counters, such as ``signature_missing``.
    reason: str
