"""The heap reaches over the address 999,999,999, which 3.11 counts its frozen objects from.

Where an executable is not position-independent `brk` begins at a random place below 1 GiB, and a
heap of some hundred megabytes covers that address now and then; here always, or it is said that it
begins above. Nothing is touched, so it costs nothing.
"""
import ctypes

import _protocol

COUNT = 999999999

libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk.argtypes = [ctypes.c_ssize_t]
end = libc.sbrk(0)
covered = end < COUNT
if covered:
    libc.sbrk((COUNT - end + (1 << 20)) & -4096)

_protocol.serve(0, None, "low heap", covered=covered)
