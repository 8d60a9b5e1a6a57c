"""Small parts of large arrays: each is a view that keeps its whole array. Needs NumPy."""
import numpy

import _protocol

PICTURES = 60

THUMBNAILS = []


def load(number):
    """Keeps a corner of a picture, without a copy."""
    picture = numpy.full((512, 512), number, dtype=numpy.uint16)
    THUMBNAILS.append(picture[:8, :8])


for number in range(PICTURES):
    load(number)

_protocol.serve(
    PICTURES * 512 * 512 * 2,
    "python-objects",
    "numpy-views",
    expected=_protocol.planted("views", load),
)
