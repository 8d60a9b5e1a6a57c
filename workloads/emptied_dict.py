"""A dict that once was large: it keeps its table."""
import _protocol

ENTRIES = 700000

PENDING = {}


def drain():
    """Takes out everything but the last few entries."""
    while len(PENDING) > 10:
        PENDING.popitem()


for number in range(ENTRIES):
    PENDING[number] = None
drain()

_protocol.serve(
    ENTRIES * 40,
    "python-objects",
    "emptied-dict",
    expected=_protocol.planted("oversized", drain),
)
