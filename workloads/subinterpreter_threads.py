"""Threads that run the code of two other interpreters, each some calls deep."""
import json
import os
import sys
import threading

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

CODE = """
import os, time
def outer(number):
    label = "interpreter %d" % number
    return inner(label, number)
def inner(label, number):
    os.write({pipe}, b"x")
    time.sleep(100000)
outer({number})
"""

entered, inside = os.pipe()
kept = []
for number in (1, 2):
    which = interpreters.create()
    # Up to 3.12 an interpreter ends with the last reference to its number.
    kept.append(which)
    code = CODE.format(pipe=inside, number=number)
    thread = threading.Thread(target=interpreters.run_string, args=(which, code),
                              name="of-%d" % number, daemon=True)
    thread.start()
    assert os.read(entered, 1) == b"x"

print("READY " + json.dumps({"pid": os.getpid()}), flush=True)
sys.stdin.read()
os._exit(0)
