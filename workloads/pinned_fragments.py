"""Every eighth of many buffers of 700 bytes survives.

Most of the heap is free, but a page can only be returned whole, and nearly every page has a
survivor on it. No setting and no other allocator helps: the survivors must go, or be allocated
elsewhere. malloc_trim returns the few pages without one.
"""
import _protocol

SIZE = 700
KEPT = 8

buffers = [b"x" * SIZE for _ in range(400000)]
survivors = buffers[::KEPT]
del buffers

_protocol.serve(len(survivors) * SIZE, "allocator-retention", "pinned-fragments")
