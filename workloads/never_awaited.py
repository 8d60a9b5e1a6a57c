"""Coroutines that were made and never awaited."""
import warnings

import _protocol

LATER = []
MESSAGES = 8000


async def send(message):
    """Would send it, if anybody waited for it."""
    return len(message)


def notify(number):
    """Forgets that calling is not awaiting."""
    LATER.append(send(("message %d " % number) * 200))


warnings.simplefilter("ignore")
for number in range(MESSAGES):
    notify(number)

_protocol.serve(
    MESSAGES * 200 * 14,
    "python-objects",
    "never-awaited",
    expected=_protocol.planted("coroutines", send, place_is_near=True),
)
