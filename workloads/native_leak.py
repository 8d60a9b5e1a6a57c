"""C code, C++ code and ctypes that lose memory, and hold other memory in every way they can.

LEAKS_TRUTH is where they write which is which; LEAKS_LIBRARY is c/leaks.c, compiled, LEAKS_OBJECTS
c/leaks.cc. Without libraries it is ctypes alone that leaks. LEAKS_SCALE multiplies what is lost.
"""
import ctypes
import os
import struct

import _protocol

TRUTH = os.environ["LEAKS_TRUTH"]
SCALE = int(os.environ.get("LEAKS_SCALE", "1"))
LIBC = _protocol.LIBC
malloc = LIBC.malloc
malloc.restype = ctypes.c_size_t
malloc.argtypes = [ctypes.c_size_t]
LIBC.memset.argtypes = [ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t]


class Lines(object):
    """Lines of the truth, written at once: what is no longer needed is nowhere in this process."""

    def __init__(self):
        self.file = os.open(TRUTH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, kind, address):
        os.write(self.file, ("%s %x\n" % (kind, address)).encode())


lines = Lines()


def taken(size, kind):
    address = malloc(size)
    LIBC.memset(address, 0x61, size)
    lines.add(kind, address)
    return address


def lose(number):
    for _ in range(number):
        taken(500, "L")


def hold():
    """By an int, by objects of ctypes, by an array, by bytes: only Python has these addresses."""
    held = [[], [], [], (ctypes.c_void_p * 300)()]
    for n in range(300):
        held[0].append(taken(600, "H"))
        held[1].append(ctypes.c_void_p(taken(600, "H")))
        held[2].append(bytearray(struct.pack("Q", taken(600, "H"))))
        held[3][n] = taken(600, "H")
    return held


held = hold()
lose(2000 * SCALE)
for variable, function in (("LEAKS_LIBRARY", "plant"), ("LEAKS_OBJECTS", "plant_objects")):
    if variable in os.environ:
        plant = getattr(ctypes.CDLL(os.environ[variable]), function)
        plant(TRUTH.encode(), SCALE)

_protocol.serve(0, "native-leak", "native-leak")
