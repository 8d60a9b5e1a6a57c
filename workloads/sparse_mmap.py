"""A mapping of which every eighth page is there.

Whoever reads all of it makes all of it resident: half a gigabyte instead of 64 MiB.
"""
import mmap

import _protocol

SIZE = 512 << 20
STEP = 8 * mmap.PAGESIZE

table = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
# A huge page would be there as a whole after the first write.
table.madvise(mmap.MADV_NOHUGEPAGE)
for place in range(0, SIZE, STEP):
    table[place] = 1

_protocol.serve(SIZE // 8, "none", "sparse-mmap", step=STEP, size=SIZE)
