"""All exceptions of service, below one root.

::

    ServiceError
    ├── RequestRefused       a request gets an error status                   service.web.body_reader
    ├── ClientDisconnected   the sender closed the connection                 service.web.body_reader
    ├── IntakeUnavailable    a delivery could not be stored: 503              service.web.ingest
    ├── RequestProblem       a call is answered with a problem document       service.web.requests.problems
    ├── ServerUnavailable    a part of the local stack could not be started   service.local.embedded_server
    ├── ExtraMissing         a command needs an extra that is not installed   service.local.extras
    ├── TunnelFailed         a tunnel client leads nowhere                    service.local.tunnel
    ├── ProgramFailed        a process of the stack ends after each start     service.local.supervisor
    ├── FolderRefused        a folder or file cannot be used safely           service.local.private_folder
    ├── ChallengeExpired     a challenge of `doctor --prove` is too old       service.proofs.challenges
    ├── CannotSend           a sample could not be posted                     service.cli.development.send
    ├── RequestUnknown       HITL.sh no longer knows the request              service.cli.asking.decision_wait
    ├── MetricsPortTaken     the port of the metrics cannot be listened on    service.metrics.exposition
    └── CommandError         a command ends with a message and status 2       service.cli.error_messages
        ├── NoMatch          the same with status 1: nothing of that name     service.cli.error_messages
        └── HandlersBroken   the same with status 1: the handlers raised      service.cli.user_handlers

CommandError and those below it are also exceptions of click.
"""


class ServiceError(Exception):
    """The root of all exceptions of service."""
