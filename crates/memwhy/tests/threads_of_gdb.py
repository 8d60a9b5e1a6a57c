# What does gdb see of the threads of the process that it is attached to? Runs inside of gdb, with
# CPython's own python-gdb.py loaded; prints one line of JSON.
import json

import gdb


def pcs():
    """Program counters, the innermost first, of functions that have a frame of their own."""
    found, frame = [], gdb.newest_frame()
    while frame is not None and frame.is_valid():
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            found.append(frame.pc())
        frame = frame.older()
    return found


def said(command):
    try:
        return gdb.execute(command, to_string=True)
    except gdb.error as error:
        return "gdb.error: %s" % error


def main():
    # What called main() counts, too; where it is hidden depends on the debug information.
    gdb.execute("set backtrace past-main on")
    threads = {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        threads[str(thread.ptid[1])] = {
            "pcs": pcs(),
            "stack": said("py-bt"),
            "locals": said("py-locals"),
            "frames": said("py-bt-full"),
        }
    print("THREADS " + json.dumps(threads))


main()
