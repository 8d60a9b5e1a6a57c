"""One large free changed where all later large buffers go.

A buffer of 28 MB is mapped on its own, and freeing it raises glibc's dynamic mmap threshold to its
size. From then on buffers of 4 MB lie on the heap instead of in mappings of their own, and a small
survivor above them keeps them resident. malloc_trim cures it for now; a fixed
MALLOC_MMAP_THRESHOLD_ or MALLOC_TRIM_THRESHOLD_ switches the rule off.
"""
import _protocol

first = bytearray(b"x") * (28 << 20)
del first
buffers = [bytearray(b"x") * (4 << 20) for _ in range(70)]
survivor = bytearray(b"s") * (256 << 10)
del buffers

_protocol.serve(len(survivor), "allocator-retention", "mmap-threshold")
