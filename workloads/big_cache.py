"""A cache at module level that nobody ever empties: the memory is in use, by this."""
import sys

import _protocol

ENTRIES = 200000

CACHE = {}


def lookup(number):
    """The record of one user, kept for ever."""
    record = CACHE.get(number)
    if record is None:
        record = CACHE[number] = {
            "id": 10 ** 9 + number,
            "name": "user-%d" % number,
            "email": "user-%d@example.org" % number,
            "bio": ("lorem ipsum %d " % number) * 25,
            "visits": [number * 3600, number * 7200],
        }
    return record


for number in range(ENTRIES):
    lookup(number)

sample = lookup(ENTRIES // 2)
parts = [sample, ENTRIES // 2] + list(sample.values()) + sample["visits"]
size = sum(map(sys.getsizeof, parts))

_protocol.serve(
    ENTRIES * size + sys.getsizeof(CACHE),
    "python-objects",
    "big-cache",
    expected=_protocol.planted(
        "container",
        lookup,
        holder="sys.modules['__main__'].CACHE",
        objects_at_least=ENTRIES * 8,
    ),
)
