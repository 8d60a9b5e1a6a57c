"""A cache on a method: each key holds `self`, so no report ever dies."""
import functools

import _protocol

REPORTS = 250


class Report(object):
    """A report that somebody looks at once."""

    def __init__(self, number):
        self.rows = ["row %d of report %d" % (row, number) for row in range(1000)]

    @functools.lru_cache(maxsize=None)
    def total(self, column):
        """The width of a column, remembered for every report there ever was."""
        return sum(len(row) for row in self.rows) + column


for number in range(REPORTS):
    Report(number).total(3)

_protocol.serve(
    REPORTS * 1000 * 80,
    "python-objects",
    "lru-method",
    expected=_protocol.planted("lru-cache", Report.total.__wrapped__),
)
