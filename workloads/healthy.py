"""A small server after its first few requests: nothing is wrong with it."""
import collections
import json
import logging
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import _protocol

log = logging.getLogger("healthy")
recent = collections.deque(maxlen=100)


class Handler(BaseHTTPRequestHandler):
    """Answers every path with the paths asked for recently."""

    def do_GET(self):
        recent.append(self.path)
        body = json.dumps({"recent": list(recent)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        log.info(form, *values)


server = HTTPServer(("127.0.0.1", 0), Handler)
# Longer than any examination takes: a server that wakes up twice a second is not idle.
thread = threading.Thread(target=server.serve_forever, args=(3600,), name="http")
thread.daemon = True
thread.start()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for number in range(20):
    opener.open("http://127.0.0.1:%d/item/%d" % (server.server_port, number)).read()

_protocol.serve(0, "none", "healthy")
