import pytest

from hitl_sandbox.errors import Refusal
from hitl_sandbox.settings import SandboxSettings


def test_settings_are_changed_by_name() -> None:
    changed = SandboxSettings().changed({"rate_limit": 5, "callback_delays": [0, 9]})

    assert (changed.rate_limit, changed.callback_delays) == (5, (0, 9))


def test_keys_without_accounts_are_the_owners() -> None:
    assert SandboxSettings().changed({"keys": ["k1"]}).keys == {"k1": "owner@example.com"}


@pytest.mark.parametrize("changes", [{"rate_limits": 5}, {"response_form": "xml"}])
def test_a_change_that_means_nothing_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Refusal, match="Unknown"):
        SandboxSettings().changed(changes)
