"""Cycles through code objects, which the collector does not look into: they are never freed."""
import gc
import sys
import types

import _protocol

RULES = 8000


class Rule(object):
    """A rule that was compiled, with itself among the constants."""

    def __init__(self, number):
        self.text = ("rule %d " % number) * 200


def body():
    """Stands for what was compiled."""
    return "constant"


def compiled(rule):
    """The same code with `rule` among its constants."""
    code = body.__code__
    constants = code.co_consts + (rule,)
    if hasattr(code, "replace"):
        return code.replace(co_consts=constants)
    names = "argcount kwonlyargcount nlocals stacksize flags code consts names varnames filename"
    names += " name firstlineno lnotab freevars cellvars"
    if sys.version_info < (3,):
        names = names.replace("kwonlyargcount ", "")
    values = [getattr(code, "co_" + name) for name in names.split()]
    values[names.split().index("consts")] = constants
    return types.CodeType(*values)


for number in range(RULES):
    rule = Rule(number)
    rule.code = compiled(rule)
del rule
gc.collect()

_protocol.serve(
    RULES * 200 * 10,
    "uncollected-cycles",
    "code-cycles",
    expected=_protocol.planted("uncollected-cycles", body, objects=RULES),
)
