"""Everything service raises on purpose, below one root.

::

    ServiceError
    ├── RequestRefused       a request is answered with an error status        service.web.body_reader
    ├── ClientDisconnected   there is nobody to answer                          service.web.body_reader
    ├── IntakeUnavailable    a delivery could not be kept: 503                  service.web.ingest
    ├── ServerUnavailable    no embedded server could be started                service.local.embedded_server
    ├── ProgramFailed        a program of the stack ends after each start       service.local.supervisor
    ├── FolderRefused        a folder cannot be made private                    service.local.private_folder
    ├── CannotSend           a setting that `send` needs is missing             service.cli.sending
    ├── RequestUnknown       HITL.sh does not know the request any more         service.cli.waiting
    ├── CommandError         a command ends with a sentence and status 2        service.cli.error_messages
    └── NothingFound         a command ends with a sentence and status 1        service.cli.filters

The last two are click's exceptions too.
"""


class ServiceError(Exception):
    """The root: catch this to catch whatever service refuses."""
