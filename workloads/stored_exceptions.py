"""Exceptions kept for a report, each with its traceback: the frames keep all their variables."""
import sys

import _protocol

FAILURES = 400

FAILED = []


def parse(number):
    """Fails with much in its variables."""
    rows = ["row %d of %d" % (row, number) for row in range(1000)]
    return int(rows[number % 1000])


def attempt(number):
    """Remembers why it failed, and with that everything it had."""
    try:
        return parse(number)
    except ValueError:
        FAILED.append(sys.exc_info())


for number in range(FAILURES):
    attempt(number)

_protocol.serve(
    FAILURES * 1000 * 65,
    "python-objects",
    "stored-exceptions",
    expected=_protocol.planted("stored-traceback", parse, place_is_near=True),
)
