"""Python 2's uncollectable cycles: a `__del__` in each keeps the collector from freeing it."""
import gc
import sys

import _protocol

PAIRS = 12000


class Parent(object):
    """Has a child and a destructor."""

    def __init__(self, number):
        self.text = ("parent %d " % number) * 80
        self.child = Child(self)

    def __del__(self):
        """Which of the two would have to go first?"""
        self.text = None


class Child(object):
    """Refers back."""

    def __init__(self, parent):
        self.parent = parent


for number in range(PAIRS):
    Parent(number)
gc.collect()

_protocol.serve(
    PAIRS * 80 * 14,
    "uncollectable" if sys.version_info < (3, 4) else "none",
    "del-cycles",
    expected=_protocol.planted("uncollectable", Parent.__del__.__code__),
)
