"""A program that waits to be asked, and has next to nothing."""
import _protocol

_protocol.serve(0, "none", "waiting")
