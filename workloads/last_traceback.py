"""An interactive interpreter keeps the last traceback, and with it the variables of its frames."""
import code
import sys

import _protocol

ROWS = 400000


def load():
    """Fails with much in its variables."""
    rows = ["row %d" % row for row in range(ROWS)]
    raise ValueError(len(rows))


console = code.InteractiveInterpreter({"load": load})
console.write = lambda text: None
sys.excepthook = sys.__excepthook__
console.runsource("load()")

_protocol.serve(
    ROWS * 65,
    "python-objects",
    "last-traceback",
    expected=_protocol.planted("stored-traceback", load, place_is_near=True),
)
