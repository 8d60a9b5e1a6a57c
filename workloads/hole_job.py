"""A job that needs much for a moment, and keeps one small thing that was made last.

What it frees lies below that thing in the heap, so that glibc cannot give it back by itself; no
setting changes that, a trim does. Ends by itself.
"""
import time

pieces = [bytearray(2000) for _ in range(40000)]
last = bytearray(2000)
del pieces
time.sleep(2.5)
