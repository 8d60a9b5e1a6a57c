"""Garbage that was there when the heap was frozen: the collector does not look at it again."""
import gc

import _protocol

NODES = 15000


class Node(object):
    """Refers to itself."""

    def __init__(self, number):
        self.text = ("node %d " % number) * 120
        self.me = self


gc.disable()
for number in range(NODES):
    Node(number)
gc.freeze()
gc.enable()
gc.collect()

_protocol.serve(
    NODES * 120 * 11,
    "uncollected-cycles",
    "gc-frozen",
    expected=_protocol.planted("uncollected-cycles", Node.__init__, objects=NODES),
)
