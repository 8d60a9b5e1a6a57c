"""A logger with a name of its own for every request: the manager of logging keeps them all."""
import logging

import _protocol

REQUESTS = 20000


def handle(number):
    """Asks for a logger that nobody will ask for again."""
    log = logging.getLogger("app.request.%d" % number)
    log.note = ("request %d " % number) * 60
    log.debug("done")


for number in range(REQUESTS):
    handle(number)

_protocol.serve(
    REQUESTS * 60 * 14,
    "python-objects",
    "logger-per-request",
    expected=_protocol.planted("logging", handle),
)
