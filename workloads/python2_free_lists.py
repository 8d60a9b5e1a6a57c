"""Many integers were there at once, and are gone.

Python 2 has integers and floats in blocks of its own, which it never gives back but in a full
collection; and what malloc gets back then, it keeps until it is trimmed. Measured with ten million:
314 MiB, 237 once they are freed, the same after a trim or a collection alone, 3 after a collection
and then a trim. Under Python 3 there is nothing to see: integers are objects like others.

MEMWHY_INTEGERS says how many; two million by default.
"""
import os

import _protocol

COUNT = int(os.environ.get("MEMWHY_INTEGERS", 2000000))

numbers = list(range(COUNT))
kept = numbers[::100000]
del numbers

_protocol.serve(24 * len(kept), "python2-free-lists", "python2-free-lists")
