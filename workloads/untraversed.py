"""Cycles through a type of C that has no tp_traverse: the collector never finds them.

MODULES in the environment is the folder of `untraversed.so`, which is made of c/untraversed.c.
"""
import os
import sys

sys.path.insert(0, os.environ["MODULES"])

import untraversed  # noqa: E402

import _protocol  # noqa: E402

DOCUMENTS = 6000


class Document(object):
    """Puts itself in a box of its own."""

    def __init__(self, number):
        self.text = ("document %d " % number) * 150
        self.box = untraversed.Box()
        self.box.held = self


for number in range(DOCUMENTS):
    Document(number)

_protocol.serve(
    DOCUMENTS * 150 * 14,
    "uncollected-cycles",
    "untraversed",
    expected=_protocol.planted("uncollected-cycles", Document.__init__, objects=DOCUMENTS),
)
