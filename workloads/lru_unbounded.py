"""A cache without a limit on a function whose arguments never repeat."""
import functools

import _protocol

PAGES = 20000


@functools.lru_cache(maxsize=None)
def render(number):
    """A page, asked for once."""
    return ("<p>page %d</p>" % number) * 80


for number in range(PAGES):
    render(number)

_protocol.serve(
    PAGES * 80 * 15,
    "python-objects",
    "lru-unbounded",
    expected=_protocol.planted("lru-cache", render.__wrapped__),
)
