"""`hitl-receiver work --queue hitl`, whose drains hand over every few seconds."""

import dataclasses

from service import logs
from workers.jobs import PreparedWork, work
from workers.settings import Settings

#: Seconds.
LIFE = 2.0

if __name__ == "__main__":
    logs.configure("INFO")
    prepared = PreparedWork.from_settings(Settings.from_env(handles=True))
    work(dataclasses.replace(prepared, options=dataclasses.replace(prepared.options, life=LIFE)))
