"""The program `hitl-receiver`: the console script runs it, and each child process is started with this file.

A child process is started with this file's path and `python -P`, never with a module name, which may be a module of the
user's folder. A process that `multiprocessing` spawns runs this file again under another name, before it imports
anything of ours.
"""

import gc
import importlib.util
import os
import sys
from pathlib import Path


def _load_package() -> None:
    """Load the package that this file belongs to, also if the Python path does not lead to it."""
    file = Path(__file__).with_name("__init__.py")
    spec = importlib.util.spec_from_file_location("hitl_receiver", file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules["hitl_receiver"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


if "hitl_receiver" not in sys.modules:
    _load_package()


def main() -> None:
    # Imports make no garbage, and looking for it is a quarter of a start. Enabled when the command has been imported.
    gc.disable()
    from service.cli.main import main as run

    run()


if __name__ == "__main__":
    if __spec__ is not None:  # python -m hitl_receiver: the user's folder is on the path, also in spawned processes
        os.execv(sys.executable, [sys.executable, "-P", __file__, *sys.argv[1:]])  # noqa: S606
    main()
