"""Two interpreters beside the main one, each with data of its own."""
import _protocol

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

STRINGS = 100000

# Up to 3.12 an interpreter ends with the last reference to its number.
numbers = [interpreters.create() for _ in range(2)]
for number in numbers:
    interpreters.run_string(number, "DATA = [str(n) * 3 for n in range(%d)]" % STRINGS)

_protocol.serve(
    2 * STRINGS * 64,
    "python-objects",
    "subinterpreters",
    expected={"holder": "interpreter 1: sys.modules['__main__'].DATA"},
)
