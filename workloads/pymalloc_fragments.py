"""One of 2000 small objects survives.

Objects of up to 512 bytes live in pymalloc's arenas, and an arena is returned only when it is
empty. A few survivors in each keep all of them. malloc_trim does nothing here: to malloc the
arenas are in use.
"""
import _protocol

SIZE = 70
COUNT = 2560000
KEPT = 2000

# At its full length from the start: a list that grows would leave holes of its own.
objects = [None] * COUNT
for number in range(COUNT):
    objects[number] = b"x" * SIZE
survivors = objects[::KEPT]
del objects

_protocol.serve(len(survivors) * (33 + SIZE), "pymalloc-fragmentation", "pymalloc-fragments")
