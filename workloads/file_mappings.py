"""A data file that was read through a mapping: page cache, taken for a leak.

`cure` tells the kernel that the pages are not needed (MADV_DONTNEED): RSS falls, and reading goes on.
"""
import mmap
import os
import tempfile

import _protocol

MIB = 1 << 20
SIZE = 96 * MIB

# Not below /tmp, which is memory on many machines: then it is another cause. Its name goes at once,
# so that nothing is left of it however this process ends.
descriptor, path = tempfile.mkstemp(prefix="memwhy-workload-", dir=os.getcwd())
os.unlink(path)
for _ in range(SIZE // MIB):
    os.write(descriptor, b"d" * MIB)
table = mmap.mmap(descriptor, SIZE, access=mmap.ACCESS_READ)
total = sum(table[place] if isinstance(table[place], int) else 0 for place in range(0, SIZE, 4096))


def cure():
    before = _protocol.smaps_rss_kib()
    table.madvise(mmap.MADV_DONTNEED)
    return {"before_rss_kib": before, "after_rss_kib": _protocol.smaps_rss_kib()}


_protocol.serve(0, "file-mappings", "file-mappings", commands={"cure": cure})
