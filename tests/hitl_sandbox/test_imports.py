import subprocess
import sys
from pathlib import Path

import pytest

import hitl_sandbox

MODULES = sorted(Path(hitl_sandbox.__file__).parent.rglob("*.py"))
FORBIDDEN = ("hitlsh", "workers", "service", "redis", "rq")


@pytest.mark.slow
def test_it_shares_nothing_with_what_it_is_used_to_test() -> None:
    asked = (
        f"import sys, hitl_sandbox.testing, hitl_sandbox.__main__; print([n for n in {FORBIDDEN} if n in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=30)

    assert loaded.stdout == "[]\n", loaded.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_no_module_is_long(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 300
