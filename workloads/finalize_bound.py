"""weakref.finalize with a bound method of the very object: it can never die."""
import weakref

import _protocol

CONNECTIONS = 8000


class Connection(object):
    """A connection that cleans up behind itself."""

    def __init__(self, number):
        self.buffer = ("connection %d " % number) * 200
        weakref.finalize(self, self.close)

    def close(self):
        """Never called before the end: the registry holds it, and it holds the connection."""
        self.buffer = None


for number in range(CONNECTIONS):
    Connection(number)

_protocol.serve(
    CONNECTIONS * 200 * 16,
    "python-objects",
    "finalize-bound",
    expected=_protocol.planted("finalize", Connection.close),
)
