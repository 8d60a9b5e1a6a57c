"""A debug flag left on: the collector keeps what it finds."""
import gc

import _protocol

NODES = 12000


class Node(object):
    """Refers to itself."""

    def __init__(self, number):
        self.text = ("node %d " % number) * 120
        self.me = self


gc.set_debug(gc.DEBUG_SAVEALL)
for number in range(NODES):
    Node(number)
gc.collect()

_protocol.serve(
    NODES * 120 * 11,
    "uncollectable",
    "saveall",
    expected=_protocol.planted("uncollectable", Node.__init__),
)
