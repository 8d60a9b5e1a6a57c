"""Arrays of NumPy of every kind, with what they say of themselves.

The announcement lists name, address, sys.getsizeof(), bytes of own data, the address of what the
data belongs to, and how the preview of the array has to begin.
"""
import mmap
import sys
import tempfile

import numpy

import _protocol

RECORD = numpy.dtype([("id", "i8"), ("name", "U10"), ("point", "f4", (2,))])
MIXED = numpy.dtype([("number", "i4"), ("held", "O")])


class Measured(numpy.ndarray):
    """A subclass with attributes of its own."""

    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", "m")


def specimens():
    grid = numpy.arange(12000.0).reshape(100, 120).copy()
    big = numpy.ones(1 << 20)
    objects = numpy.empty(1000, dtype=object)
    objects[:] = [[number] for number in range(1000)]
    several = numpy.array([[{"a": 1}, None], ["x", (1, 2)]], dtype=object)
    records = numpy.zeros(500, dtype=RECORD)
    mixed = numpy.zeros(40, dtype=MIXED)
    mixed["held"] = [["held", number] for number in range(40)]
    file = tempfile.NamedTemporaryFile()
    file.write(b"\0" * 80000)
    file.flush()
    mapped = numpy.memmap(file.name, dtype="f8", mode="r", shape=(100, 100))
    buffer = bytearray(8000)
    made = {
        "grid": grid,
        "big": big,
        "row": grid[3],
        "rows": grid[10:20],
        "strided": grid[::2, ::3],
        "view of a view": grid[10:20][2:5],
        "transposed": grid.T,
        "reshaped": big.reshape(1024, 1024),
        "as bytes": big.view("u1"),
        "nothing": numpy.zeros((0, 5)),
        "one": numpy.array(2.5),
        "small": numpy.zeros(3, dtype="i2"),
        "booleans": numpy.zeros(5000, dtype=bool),
        "complex": numpy.zeros((30, 30), dtype=complex),
        "dates": numpy.zeros(300, dtype="M8[s]"),
        "texts": numpy.zeros(700, dtype="U12"),
        "bytes": numpy.zeros(700, dtype="S7"),
        "objects": objects,
        "several": several,
        "some objects": objects[5:10],
        "records": records,
        "a field": records["point"],
        "mixed": mixed,
        "mapped": mapped,
        "part of mapped": mapped[5:],
        "of a buffer": numpy.frombuffer(buffer, dtype="i4"),
        "of bytes": numpy.frombuffer(b"x" * 800, dtype="i8"),
        "of a mapping": numpy.frombuffer(mmap.mmap(-1, 65536), dtype="u1"),
        "subclass": numpy.zeros((4, 5)).view(Measured),
        "masked": numpy.ma.masked_less(numpy.arange(100.0), 50),
        "broadcast": numpy.broadcast_to(numpy.arange(3), (1000, 3)),
        "deep": numpy.zeros((1,) * 20),
    }
    return made, file


def row(name, array):
    shape = "(%s)" % ", ".join(map(str, array.shape)) if array.ndim != 1 else "(%d,)" % array.shape
    kind = type(array)
    own = array.nbytes if array.flags.owndata else 0
    says = "<%s.%s shape=%s dtype=" % (kind.__module__, kind.__name__, shape)
    base = id(array.base) if array.base is not None else 0
    return [name, id(array), sys.getsizeof(array), own, base, says]


ARRAYS, FILE = specimens()
ROWS = [row(name, array) for name, array in sorted(ARRAYS.items())]
HELD = {
    "objects": [id(one) for one in ARRAYS["objects"]],
    "several": [id(one) for one in ARRAYS["several"].flat],
    "mixed": [id(one) for one in ARRAYS["mixed"]["held"]],
}

_protocol.serve(
    sum(row[3] for row in ROWS), "none", "arrays", arrays=ROWS, held=HELD,
    numpy=numpy.__version__,
)
