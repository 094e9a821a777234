"""Everything hitlsh raises on purpose, below one root.

::

    HitlshError
    ├── SignatureInvalid   hitlsh.signatures
    ├── CallbackInvalid    hitlsh.callbacks
    ├── StateTooLarge      hitlsh.callbacks
    └── …                  hitlsh.api.errors
"""


class HitlshError(Exception):
    """The root: catch this to catch whatever hitlsh refuses."""
