"""A large table that was written on every thirty-second page, in huge pages.

256 MiB of address space. Without huge pages 8 MiB of it are resident; with them every first write
to 2 MiB makes all of it resident. What they hold besides is zeroes. With HOW=plain in the
environment no huge pages are asked for.

Where the kernel makes none, nothing is wrong: then the cause expected is `none`.
"""
import ctypes
import mmap
import os
import re

import _protocol

SIZE = 256 << 20
STEP = 32 * mmap.PAGESIZE
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15


def anon_huge_kib():
    return sum(map(int, re.findall(r"(?m)^AnonHugePages:\s+(\d+)", _protocol.slurp("/proc/self/smaps"))))


table = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
first = ctypes.addressof(ctypes.c_char.from_buffer(table))
libc = ctypes.CDLL(None)
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
asked = os.environ.get("HOW") != "plain"
libc.madvise(first, SIZE, MADV_HUGEPAGE if asked else MADV_NOHUGEPAGE)
for place in range(0, SIZE, STEP):
    table[place : place + 1] = b"x"

huge = anon_huge_kib()
cause = "huge-pages" if huge > 128 << 10 else "none"
_protocol.serve(SIZE // 32, cause, "huge-pages", huge_kib=huge)
