"""One thread that never waits: a loop of bytecode. Ends when nobody owns it any more."""
from __future__ import print_function

import json
import os
import sys

parent = os.getppid()
print("READY " + json.dumps({"pid": os.getpid()}))
sys.stdout.flush()
rounds = 0
while os.getppid() == parent:
    rounds += 1
