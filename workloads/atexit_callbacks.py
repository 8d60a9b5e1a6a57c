"""A function registered to run at exit, again with every job."""
import atexit

import _protocol

JOBS = 10000


def clean_up(report):
    """Would write the report when the program ends."""


def run(number):
    """Does a job and registers what has to be done at the end."""
    atexit.register(clean_up, ("report %d " % number) * 200)


for number in range(JOBS):
    run(number)

_protocol.serve(
    JOBS * 200 * 13,
    "python-objects",
    "atexit",
    expected=_protocol.planted("atexit", clean_up),
)
