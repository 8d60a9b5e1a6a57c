"""Where is a thread that never stands still? Threads whose variables say which line they are on.

The program that they run is written here, line by line: every line sets the variable `at` to its
own number before it does anything else, so that whoever reads a frame at any moment can check the
line against a variable of that frame. What may stand in `at` on each line, and which functions may be
called from there, is announced. Afterwards this process is asked for the line tables of its code.

    READY {"allowed": {line: [numbers]}, "calls": {line: [function names]}, "file": name, ...}
    tables     for each code object its address: name, first line, ranges with lines, positions
    quit

Runs on Python 2.7 and every Python 3.
"""
from __future__ import print_function

import dis
import json
import sys
import threading

FILE = "/no/such/folder/marked-program.py"
FUNCTIONS = 12
THREADS = 4


class Writer(object):
    """Writes the program and keeps what is true of each line."""

    def __init__(self):
        self.lines = []
        self.allowed = {}
        self.calls = {}

    def line(self, text, before, calls=(), marks=True):
        """Adds a line. before: what `at` may be when the line begins."""
        number = len(self.lines) + 1
        self.lines.append(text.replace("@", str(number)))
        own = {number} if marks else set()
        self.allowed[number] = sorted(set(before) | own)
        self.calls[number] = sorted(calls)
        return {number} if marks else set(before)

    def function(self, n):
        name, deeper = "f%d" % n, ["f%d" % m for m in (n + 1, n + 3) if m < FUNCTIONS]
        first = deeper[0] if deeper else None
        last = deeper[-1] if deeper else None
        define = self.line("def %s(who, depth, base=1, *rest, **named):" % name, {0}, marks=False)
        at = self.line("    at = @; total = base; cells = [depth]; inner = None", {0} | define)
        at = self.line("    at = @; total += depth * 3", at)
        if first:
            at = self.line("    at = @; total += %s('%s', depth + 1)" % (first, first), at, [first])
        # The head of a loop has no mark of its own.
        head = self.line("    for each in range(2):", at | {len(self.lines) + 3}, marks=False)
        body = self.line("        at = @; total -= each; total += len(rest)", head | at)
        body = self.line("        at = @; total ^= 5", body)
        at = body
        if last:
            at = self.line(
                "    at = @; total += sum([%s('%s', depth + 1, each) for each in (1, 2)])" % (last, last),
                at, [last, "<listcomp>"])
            at = self.line(
                "    at = @; total += len(sorted((2, 1), key=lambda each: %s('%s', each)))" % (last, last),
                at, [last, "<lambda>"])
        at = self.line("    at = @; inner = closure('closure', cells, total)", at, ["closure"])
        at = self.line("    at = @; total += inner('inner', 1)", at, ["inner"])
        head = self.line("    for each in steps('steps', 2):", at | {len(self.lines) + 2},
                         ["steps"], marks=False)
        at = self.line("        at = @; total += each", head)
        at = self.line("    at = @; total += fails('fails', depth)", at | head, ["fails"])
        at = self.line("    at = @; total += Maker('Maker', depth).total", at, ["__init__"])
        self.line("    at = @; return total", at)

    def program(self):
        self.helpers()
        for n in range(FUNCTIONS):
            self.function(n)
        define = self.line("def work(who):", {0}, marks=False)
        head = self.line("    while True:", {0, len(self.lines) + 2} | define, marks=False)
        self.line("        at = @; f0('f0', 0)", head, ["f0"])
        return "\n".join(self.lines) + "\n"

    def helpers(self):
        self.line("def closure(who, cells, total):", {0}, marks=False)
        at = self.line("    at = @; kept = [total]", {0})
        self.line("    def inner(who, more):", at | {0}, marks=False)
        own = self.line("        at = @; found = cells[0] + kept[0]", {0})
        own = self.line("        at = @; found += more", own)
        self.line("        at = @; return found", own)
        self.line("    at = @; return inner", at)
        self.line("def steps(who, most):", {0}, marks=False)
        at = self.line("    at = @; step = 0", {0})
        head = self.line("    while step < most:", at | {len(self.lines) + 3}, marks=False)
        body = self.line("        at = @; yield step", head)
        self.line("        at = @; step += 1", body)
        self.line("def fails(who, depth):", {0}, marks=False)
        at = self.line("    at = @; result = 0", {0})
        self.line("    try:", at, marks=False)
        raised = self.line("        at = @; result = {}[depth]", at)
        # Leaving the handler, which forgets `error`, is on this line, too.
        later = {len(self.lines) + 2}
        caught = self.line("    except KeyError as error:", at | raised | later, marks=False)
        caught = self.line("        at = @; result = len(error.args)", caught)
        self.line("    finally:", at | raised | caught, marks=False)
        ended = self.line("        at = @; result += 1", at | raised | caught)
        self.line("    at = @; return result", ended)
        self.line("class Maker(object):", {0}, marks=False)
        self.line("    def __init__(self, who, depth):", {0}, marks=False)
        at = self.line("        at = @; self.total = depth", {0})
        self.line("        at = @; self.who = who", at)


def codes(code, found):
    """`code` and every code object inside of it."""
    found.append(code)
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            codes(constant, found)
    return found


def ranges(code):
    """Start, end and line of each range of bytecode, as this interpreter says."""
    if hasattr(code, "co_lines"):
        return [list(entry) for entry in code.co_lines()]
    starts = list(dis.findlinestarts(code))
    ends = [start for start, _ in starts[1:]] + [len(code.co_code)]
    return [[start, end, line] for (start, line), end in zip(starts, ends)]


def table(code):
    known = {
        "name": getattr(code, "co_qualname", code.co_name),
        "file": code.co_filename,
        "first": code.co_firstlineno,
        "lines": ranges(code),
    }
    if hasattr(code, "co_positions"):
        known["positions"] = [list(entry) for entry in code.co_positions()]
    return known


def main():
    writer = Writer()
    text = writer.program()
    compiled = compile(text, FILE, "exec")
    program = {"__name__": "marked"}
    exec(compiled, program)
    # Turns are short, so that many places are seen.
    if hasattr(sys, "setswitchinterval"):
        sys.setswitchinterval(0.0005)
    else:
        sys.setcheckinterval(20)
    workers = []
    for n in range(THREADS):
        worker = threading.Thread(target=program["work"], args=("work",), name="marked-%d" % n)
        worker.daemon = True
        worker.start()
        workers.append(worker)
    ready = {
        "allowed": writer.allowed,
        "calls": writer.calls,
        "file": FILE,
        "names": [worker.name for worker in workers],
        "idents": [worker.ident for worker in workers],
    }
    print("READY " + json.dumps(ready))
    sys.stdout.flush()
    # Of a module that runs the code is kept by its frame; everything else is a constant of it.
    known = codes(compiled, [])
    while True:
        command = sys.stdin.readline().strip()
        if command in ("", "quit"):
            return
        print(json.dumps(dict((str(id(code)), table(code)) for code in known)))
        sys.stdout.flush()


main()
