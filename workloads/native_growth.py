"""Memory of C that grows and is known to somebody: a cache of a library, documents of objects.

LEAKS_LIBRARY is c/leaks.c, compiled. `grow` makes so many sessions of 2 KB more in the cache, and a
document of so many nodes, as SESSIONS says.
"""
import ctypes
import os

import _protocol

library = ctypes.CDLL(os.environ["LEAKS_LIBRARY"])
library.document.restype = ctypes.c_void_p


class Document(ctypes.Structure):
    """An object that has a document of the library."""

    _fields_ = [("document", ctypes.c_void_p)]


documents = []
sessions = int(os.environ.get("SESSIONS", "20000"))


def grow(number=sessions):
    library.cache(number)
    documents.append(Document(library.document(number)))
    return {"documents": len(documents)}


grow(100)
_protocol.serve(0, "native-memory", "native-memory", commands={"grow": grow})
