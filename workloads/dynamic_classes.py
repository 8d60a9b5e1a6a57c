"""A class made anew for every request, and remembered by its base."""
import _protocol

CLASSES = 6000


class Form(object):
    """What all forms have in common."""


KNOWN = []


def form_for(number):
    """Makes a class with one field, where an instance would do."""

    def clean(self):
        return number

    KNOWN.append(type("RequestForm", (Form,), {"clean": clean, "number": "x%d" % number * 100}))


for number in range(CLASSES):
    form_for(number)

_protocol.serve(
    CLASSES * 2000,
    "python-objects",
    "dynamic-classes",
    expected=_protocol.planted("dynamic-classes", KNOWN[0].__dict__["clean"]),
)
