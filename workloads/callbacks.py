"""Callbacks that are registered and never taken back: each has captured what it needs."""
import _protocol

LISTENERS = []
SESSIONS = 20000


def subscribe(number):
    """Registers a function that keeps a session alive."""
    session = ("session %d " % number) * 100

    def on_change(event):
        return session, event

    LISTENERS.append(on_change)


for number in range(SESSIONS):
    subscribe(number)

_protocol.serve(
    SESSIONS * 100 * 14,
    "python-objects",
    "callbacks",
    expected=_protocol.planted("callbacks", LISTENERS[0]),
)
