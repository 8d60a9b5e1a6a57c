"""The same few strings, read again for each row and never shared."""
import _protocol

ROWS = 250000

ROWS_READ = []


def read(number):
    """Reads a row: the name of its country is a string of its own each time."""
    ROWS_READ.append("".join(["country of origin number ", str(number % 20)]))


for number in range(ROWS):
    read(number)

_protocol.serve(
    ROWS * 80,
    "python-objects",
    "duplicated-strings",
    expected=_protocol.planted("duplicate-strings", read),
)
