"""One small survivor at the top of the main heap.

6000 buffers of 64 KiB are freed, but the heap grows and shrinks by `brk` at its end only, and one
buffer that was allocated last is still in use there. malloc_trim cures it.
"""
import _protocol

buffers = [bytearray(b"x") * (64 << 10) for _ in range(6000)]
survivor = bytearray(b"s") * (64 << 10)
del buffers

_protocol.serve(len(survivor), "allocator-retention", "main-heap-hole")
