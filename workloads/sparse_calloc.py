"""A large table of zeroes of which little was ever written.

256 MiB of address space, 20 MiB of it resident: nothing is wrong, the table is simply what this
process has. It would be with transparent huge pages everywhere, which make every first write cost
2 MiB.
"""
import ctypes

import _protocol

SIZE = 256 << 20
STEP = 13 * 4096

libc = ctypes.CDLL(None)
libc.calloc.restype = ctypes.c_void_p
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
table = (ctypes.c_ubyte * SIZE).from_address(libc.calloc(SIZE, 1))
for place in range(0, SIZE, STEP):
    table[place] = 1

_protocol.serve(
    SIZE // 13,
    "python-objects",
    "sparse-calloc",
    expected={"holder": "sys.modules['__main__'].table"},
)
