"""A cache of mixed sizes that turned over many times and then lost nine tenths of its entries.

The ordinary end of a busy day: holes of all sizes between survivors. About half of it is whole
pages, which malloc_trim returns; the rest is pinned.
"""
import random

import _protocol

SLOTS = 22000

dice = random.Random(7)
cache = [None] * SLOTS
for _ in range(10 * SLOTS):
    cache[dice.randrange(SLOTS)] = bytearray(b"x") * int(600 * 2 ** dice.uniform(0, 3))
for slot in range(SLOTS):
    if slot % 10:
        cache[slot] = None

_protocol.serve(sum(map(len, filter(None, cache))), "allocator-retention", "churn")
