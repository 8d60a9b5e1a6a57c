"""Buffers in shared memory, with and without a name.

96 MiB in a memfd, 32 MiB in /dev/shm of which the name is gone already. `cure` closes them.
"""
import mmap
import os
import tempfile

import _protocol

MIB = 1 << 20


def fill(descriptor, size):
    os.ftruncate(descriptor, size)
    view = mmap.mmap(descriptor, size)
    os.close(descriptor)
    for start in range(0, size, MIB):
        view[start : start + MIB] = b"s" * MIB
    return view


def named():
    descriptor, path = tempfile.mkstemp(prefix="memwhy-workload-", dir="/dev/shm")
    os.unlink(path)
    return descriptor


views = [fill(os.memfd_create("frames"), 96 * MIB), fill(named(), 32 * MIB)]


def cure():
    before = _protocol.smaps_rss_kib()
    while views:
        views.pop().close()
    return {"before_rss_kib": before, "after_rss_kib": _protocol.smaps_rss_kib()}


_protocol.serve(128 * MIB, "shared-memory", "shared-memory", commands={"cure": cure})
