"""The collector is switched off for speed: cycles are never freed."""
import gc

import _protocol

REQUESTS = 15000


class Request(object):
    """Refers to its response, which refers back."""

    def __init__(self, number):
        self.text = ("request %d " % number) * 80
        self.response = Response(self)


class Response(object):
    """Refers to what it answers."""

    def __init__(self, request):
        self.request = request


gc.disable()
for number in range(REQUESTS):
    Request(number)

_protocol.serve(
    REQUESTS * 80 * 14,
    "uncollected-cycles",
    "gc-disabled",
    expected=_protocol.planted("uncollected-cycles", Response.__init__, objects=REQUESTS),
)
