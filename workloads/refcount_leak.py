"""C code that takes a reference and forgets to give it back."""
import ctypes

import _protocol

ROWS = 6000

take = ctypes.pythonapi.Py_IncRef
take.argtypes = [ctypes.py_object]
take.restype = None


class Row(object):
    """What the extension returns."""

    def __init__(self, number):
        self.text = ("row %d " % number) * 300


def fetch(number):
    """Gets a row whose count the extension has raised once too often."""
    take(Row(number))


for number in range(ROWS):
    fetch(number)

_protocol.serve(
    ROWS * 300 * 9,
    "refcount-leak",
    "refcount-leak",
    expected=_protocol.planted("refcount-leak", Row.__init__, objects=ROWS),
)
