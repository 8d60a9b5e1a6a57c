"""A session of an object-relational mapper that lives as long as the program."""
import _protocol

ROWS = 40000


class User(object):
    """A row, as an object."""

    def __init__(self, number):
        self.id = number
        self.name = "user-%d" % number
        self.email = ("user-%d@example.org " % number) * 10


class Session(object):
    """Remembers each row it loaded, so that a row is one object."""

    def __init__(self):
        self.identity_map = {}

    def get(self, number):
        """Loads a row, or finds the object it is already."""
        key = ("User", number)
        if key not in self.identity_map:
            self.identity_map[key] = User(number)
        return self.identity_map[key]


session = Session()
for number in range(ROWS):
    session.get(number)

_protocol.serve(
    ROWS * 600,
    "python-objects",
    "orm-session",
    expected=_protocol.planted("orm-session", Session.__init__),
)
