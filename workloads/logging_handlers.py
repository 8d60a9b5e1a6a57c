"""A handler added with every request: each line is then written once for each of them."""
import logging
import logging.handlers

import _protocol

REQUESTS = 6000

log = logging.getLogger("app.requests")
log.propagate = False


class Keeper(logging.Handler):
    """Keeps what it was given."""

    def __init__(self, number):
        logging.Handler.__init__(self)
        self.prefix = ("request %d " % number) * 200

    def emit(self, record):
        pass


def handle(number):
    """Sets up logging for one request, and never takes it back."""
    log.addHandler(Keeper(number))


for number in range(REQUESTS):
    handle(number)

_protocol.serve(
    REQUESTS * 200 * 13,
    "python-objects",
    "logging-handlers",
    expected=_protocol.planted("logging", handle),
)
