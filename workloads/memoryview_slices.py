"""Small slices of large messages: each keeps its whole message."""
import _protocol

MESSAGES = 150

HEADERS = []


def receive(number):
    """Keeps the first bytes of a message, without a copy."""
    message = bytearray(b"message" * 32768)
    HEADERS.append(memoryview(message)[:16])


for number in range(MESSAGES):
    receive(number)

_protocol.serve(
    MESSAGES * 7 * 32768,
    "python-objects",
    "memoryview-slices",
    expected=_protocol.planted("views", receive),
)
