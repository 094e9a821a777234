"""PYTHONPATH of the processes that tests start."""

import os
from pathlib import Path

#: Hides what only the tests install: plain_install/sitecustomize.py.
PLAIN_INSTALL = Path(__file__).with_name("plain_install")
REPOSITORY = Path(__file__).parents[1]


def python_path(*folders: Path) -> str:
    """These folders and this repository, with a plain installation of hitl-receiver."""
    return os.pathsep.join(map(str, (*folders, REPOSITORY, PLAIN_INSTALL)))
