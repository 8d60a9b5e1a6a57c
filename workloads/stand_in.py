"""Large and small buffers of which few are left, under whatever allocator was preloaded.

`stats` says what the allocator counts itself: tcmalloc by MallocExtension, jemalloc by mallctl,
mimalloc by a visit of the main thread's heap. Asked of a copy (`hold stats`) the heap stays as it was.
"""
import ctypes

import _protocol

large = [bytearray(b"x") * 65000 for _ in range(3000)]
small = [bytearray(b"y") * 700 for _ in range(60000)]
large = large[::50]
small = small[::8]

libc = ctypes.CDLL(None)


def tcmalloc():
    def number(name):
        value = ctypes.c_size_t()
        known = libc.MallocExtension_GetNumericProperty(name.encode(), ctypes.byref(value))
        return value.value if known else None

    return {
        "used": number("generic.current_allocated_bytes"),
        "reserved": number("generic.heap_size"),
        "free_pages": number("tcmalloc.pageheap_free_bytes"),
        "returned": number("tcmalloc.pageheap_unmapped_bytes"),
        "cached": number("tcmalloc.current_total_thread_cache_bytes"),
        "central": number("tcmalloc.central_cache_free_bytes"),
        "transfer": number("tcmalloc.transfer_cache_free_bytes"),
    }


class Area(ctypes.Structure):
    """mi_heap_area_t."""

    _fields_ = [("blocks", ctypes.c_void_p)] + [
        (name, ctypes.c_size_t) for name in ("reserved", "committed", "used", "block_size")
    ]


def mimalloc():
    sums = [0, 0]

    def visit(heap, area, block, size, argument):
        area = area.contents
        sums[0] += area.used
        sums[1] += area.used * area.block_size
        return True

    kind = ctypes.CFUNCTYPE(
        ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(Area), ctypes.c_void_p, ctypes.c_size_t,
        ctypes.c_void_p)
    libc.mi_heap_get_default.restype = ctypes.c_void_p
    libc.mi_heap_visit_blocks.argtypes = [ctypes.c_void_p, ctypes.c_bool, kind, ctypes.c_void_p]
    libc.mi_collect(False)
    libc.mi_heap_visit_blocks(libc.mi_heap_get_default(), False, kind(visit), None)
    return {"blocks": sums[0], "used": sums[1]}


def jemalloc():
    def number(name):
        value, size = ctypes.c_size_t(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_size_t))
        libc.mallctl(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
        return value.value

    epoch = ctypes.c_uint64(1)
    libc.mallctl(b"epoch", None, None, ctypes.byref(epoch), ctypes.c_size_t(8))
    page = 4096
    return {
        "used": number("stats.allocated"),
        "active": number("stats.active"),
        "retained": number("stats.retained"),
        "free_pages": page
        * (number("stats.arenas.4096.pdirty") + number("stats.arenas.4096.pmuzzy")),
    }


def stats():
    if hasattr(libc, "MallocExtension_GetNumericProperty"):
        return tcmalloc()
    if hasattr(libc, "mi_version"):
        return mimalloc()
    if hasattr(libc, "mallctl"):
        return jemalloc()
    return _protocol.mallinfo2()


_protocol.serve(0, "allocator-retention", "stand-in", commands={"stats": stats})
