"""A service that watches itself: tracemalloc runs during each job."""
import json
import sys
import tracemalloc


def handle(n, depth=20):
    if depth:
        return handle(n * 7 + depth, depth - 1)
    return [json.dumps({"row": i, "n": n}) for i in range(20)]


def code(n):
    """Each job has code of its own, as template engines make it."""
    source = "\n".join("def f%d(n): return handle(n)" % i for i in range(300))
    space = {"handle": handle}
    exec(compile(source, "job-%d" % n, "exec"), space)
    return [space["f%d" % i] for i in range(300)]


def job(n):
    tracemalloc.start(25)
    results = [function(n) for function in code(n)]
    tracemalloc.stop()
    return len(results)


for n in range(int(sys.argv[1])):
    job(n)
print("ready", flush=True)
for line in sys.stdin:
    n += 1
    job(n)
    print("done", flush=True)
