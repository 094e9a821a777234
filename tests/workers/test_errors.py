import math
import pickle
from datetime import timedelta
from typing import Any

import pytest

from workers.errors import GiveUp, RetryLater, WorkersError


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(minutes=1.5)])
def test_retry_later_takes_seconds_or_a_timedelta(delay: Any):
    assert RetryLater(delay).delay == 90.0


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, True, "5", None, timedelta(seconds=-1)])
def test_a_delay_that_is_no_time_is_refused(delay: Any):
    with pytest.raises(ValueError, match="give the delay in seconds"):
        RetryLater(delay)


def test_the_signals_carry_their_reason():
    assert str(RetryLater(2, "bank closed")) == "again in 2 s: bank closed"
    assert str(GiveUp("no such order")) == "no such order"


@pytest.mark.parametrize("signal", [RetryLater(timedelta(seconds=2), "why"), GiveUp("why")])
def test_the_signals_have_one_root_and_survive_pickling(signal: WorkersError):
    copy = pickle.loads(pickle.dumps(signal))

    assert isinstance(copy, WorkersError)
    assert (str(copy), vars(copy)) == (str(signal), vars(signal))
