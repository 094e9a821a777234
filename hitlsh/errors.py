"""Everything hitlsh raises on purpose, below one root.

::

    HitlshError
    ├── SignatureInvalid   hitlsh.signatures
    ├── CallbackInvalid    hitlsh.callbacks
    ├── StateInvalid       hitlsh.callbacks
    │   └── StateTooLarge
    ├── SampleInvalid      hitlsh.samples
    └── …                  hitlsh.api.errors
"""


class HitlshError(Exception):
    """The root: catch this to catch whatever hitlsh refuses."""
