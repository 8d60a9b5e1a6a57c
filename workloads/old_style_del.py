"""The same with classes of the old style, as programs of that time have them."""
import gc
import sys

import _protocol

NODES = 12000


class Node:
    """Refers to itself, and has a destructor."""

    def __init__(self, number):
        self.text = ("node %d " % number) * 100
        self.me = self

    def __del__(self):
        self.text = None


for number in range(NODES):
    Node(number)
gc.collect()

_protocol.serve(
    NODES * 100 * 11,
    "uncollectable" if sys.version_info < (3, 4) else "none",
    "old-style-del",
    expected=_protocol.planted("uncollectable", Node.__del__.__code__),
)
