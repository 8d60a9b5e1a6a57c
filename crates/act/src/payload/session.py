# The side of a session that runs in the target: in two threads of its own, which end with it, and in
# a namespace of its own. It must run on 2.7 and on every 3.x, import as little as it can, and leave
# sys.stdout, sys.displayhook and the names of __main__ alone.
#
# A frame is one letter, eight decimal digits, and as many bytes of UTF-8. From memwhy: X run code,
# I run a console's lines, C complete a word, K interrupt, Q end. To memwhy: O output, D done (the
# exit status, or "more"), L completions, B the modules that were imported meanwhile.
import gc
import os
import sys

PY2 = sys.version_info[0] == 2
ONLY_AST = 0x400
sending = thread.allocate_lock()
arrived = thread.allocate_lock()
arrived.acquire()
reader_left = thread.allocate_lock()
reader_left.acquire()
inbox = []
running = []


def send(kind, text):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
    with sending:
        sock.sendall(kind + ("%08d" % len(data)).encode("ascii") + data)


def frame():
    head = receive(9)
    kind, length = head[:1], int(head[1:])
    return kind, receive(length).decode("utf-8")


class Out(object):
    def write(self, text):
        send(b"O", text)

    def flush(self):
        pass


out = Out()


def show(*values, **how):
    """print(), whose output goes to memwhy unless a file is named."""
    sink = how.get("file") or out
    sep, end = how.get("sep"), how.get("end")
    text = type("")(" " if sep is None else sep).join(str(value) for value in values)
    sink.write(text + ("\n" if end is None else end))


class Memory(object):
    """mem.rss(), mem.top(), mem.find(address)"""

    def rss(self):
        """Resident bytes of this process."""
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def top(self, count=20):
        """Counts the objects that the collector tracks by type."""
        sums = {}
        for thing in gc.get_objects():
            row = sums.setdefault(type(thing), [0, 0])
            row[0] += 1
            try:
                row[1] += sys.getsizeof(thing)
            except Exception:
                pass
        for kind, (number, size) in sorted(sums.items(), key=lambda item: -item[1][1])[:count]:
            show("%10d %12d  %s.%s" % (number, size, kind.__module__, kind.__name__))

    def find(self, address):
        """The live object at an address that memwhy printed: its id()."""
        tracked = gc.get_objects()
        for thing in tracked:
            if id(thing) == address:
                return thing
        # What the collector does not track (strings, numbers, dicts and tuples of nothing else) is
        # held by what it does, or by what that holds.
        seen = set()
        for thing in tracked:
            holders = [thing]
            while holders:
                holder = holders.pop()
                held = gc.get_referents(holder)
                if type(holder) is dict:
                    held.extend(list(holder))
                for one in held:
                    if id(one) == address:
                        return one
                    if type(one) in (dict, tuple) and not gc.is_tracked(one) and id(one) not in seen:
                        seen.add(id(one))
                        holders.append(one)
        raise LookupError("no live object at 0x%x" % address)


def printing(node):
    """Python 2: sends what `print` statements print to memwhy, unless they name a file."""
    import _ast

    for name in getattr(node, "_fields", ()):
        value = getattr(node, name, None)
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, _ast.AST):
                printing(child)
    if type(node).__name__ == "Print" and node.dest is None:
        node.dest = _ast.Name("__memwhy_out__", _ast.Load())
        node.dest.lineno, node.dest.col_offset = node.lineno, node.col_offset


def parts(source, name, flags):
    """The statements of a source, and the expression that it ends with, if it does."""
    import _ast

    tree = compile(source, name, "exec", ONLY_AST | flags, 1)
    if PY2:
        printing(tree)
    last = None
    if tree.body and isinstance(tree.body[-1], _ast.Expr):
        last = compile(_ast.Expression(tree.body.pop().value), name, "eval", flags, 1)
    return compile(tree, name, "exec", flags, 1), last


def run(source, name, echo):
    """Runs code; returns its exit status."""
    try:
        try:
            code, last = parts(source, name, 0)
            eval(code, space)
            if last is not None:
                value = eval(last, space)
                if echo and value is not None:
                    space["_"] = value
                    show(repr(value))
            return 0
        except SystemExit:
            status = sys.exc_info()[1].code
            if status is None or isinstance(status, int):
                return (status or 0) & 255
            show(status)
            return 1
        except BaseException:
            import traceback

            kind, value, trace = sys.exc_info()
            while trace is not None and trace.tb_frame.f_code.co_filename == "<memwhy>":
                trace = trace.tb_next
            out.write("".join(traceback.format_exception(kind, value, trace)))
            return 1
        finally:
            kind = value = trace = None
            if PY2:
                sys.exc_clear()
    except KeyboardInterrupt:
        return 130


def whole(source, name):
    """Whether a console's lines are a statement: True, False for more, or the error's status."""
    import codeop

    try:
        return codeop.compile_command(source, name, "single") is not None
    except (SyntaxError, ValueError, OverflowError):
        # Running it says what is wrong.
        return True


def completions(word):
    import keyword

    path, dot, start = word.rpartition(".")
    if dot:
        steps = path.split(".")
        builtins = space["__builtins__"]
        thing = space.get(steps[0], getattr(builtins, steps[0], None))
        for step in steps[1:]:
            thing = getattr(thing, step, None)
        names = dir(thing)
    else:
        names = list(space) + dir(space["__builtins__"]) + keyword.kwlist
    found = set(name for name in names if name.startswith(start))
    if not start.startswith("_"):
        found = set(name for name in found if not name.startswith("_"))
    return sorted(path + dot + name for name in found)[:200]


def interrupt():
    if running:
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(running[0]), ctypes.py_object(KeyboardInterrupt)
        )


def read():
    try:
        while True:
            kind, text = frame()
            if kind == b"K":
                interrupt()
                continue
            inbox.append((kind, text))
            arrived.release()
    except BaseException:
        inbox.append((b"Q", ""))
        if arrived.locked():
            arrived.release()
    finally:
        reader_left.release()


def answer(kind, text):
    if kind == b"C":
        send(b"L", "\n".join(completions(text)))
        return
    name, _, source = text.partition("\n")
    if kind == b"I" and not whole(source, name):
        send(b"D", "more")
        return
    running.append(thread.get_ident())
    try:
        status = run(source, name, kind == b"I")
    finally:
        del running[:]
    send(b"D", str(status))


builtins_module = sys.modules["__builtin__" if PY2 else "builtins"]
space = {
    "__name__": "__memwhy__",
    "__builtins__": builtins_module,
    "__memwhy_out__": out,
    "main": sys.modules.get("__main__"),
    "mem": Memory(),
}
if not PY2:
    space["print"] = show

thread.start_new_thread(read, ())
try:
    while True:
        arrived.acquire()
        kind, text = inbox.pop(0)
        if kind == b"Q":
            break
        try:
            answer(kind, text)
        except KeyboardInterrupt:
            # It came when the code had just ended.
            send(b"D", "130")
    space.clear()
    send(b"B", "\n".join(sorted(set(sys.modules) - before)))
    # memwhy closes its end; the reader sees that and leaves, and nothing of us is left.
    reader_left.acquire()
finally:
    sock.close()
