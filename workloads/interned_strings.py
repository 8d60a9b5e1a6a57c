"""Strings interned and dropped: freed by every release but some of 3.12, which never let them go."""
import sys

import _protocol

try:
    intern = sys.intern
except AttributeError:
    pass

NAMES = 200000
IMMORTAL = (3, 12, 0) <= sys.version_info[:3] < (3, 12, 7)

for number in range(NAMES):
    intern("field-%d-of-a-request" % number)

_protocol.serve(
    NAMES * 80 if IMMORTAL else 0,
    "known-bug" if IMMORTAL else "none",
    "interned-strings",
    expected={"rule": "interned-strings"} if IMMORTAL else {},
)
