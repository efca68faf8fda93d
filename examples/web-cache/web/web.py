"""Serves /page/NAME on port 8080: takes a second to make, unless the cache remembers it."""
import os
import signal
import socket
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

CACHE = redis.Redis(host=os.environ["CACHE"], socket_connect_timeout=0.3, socket_timeout=0.3)
REMEMBER_SECONDS = int(os.environ["REMEMBER_SECONDS"])


def make(name):
    time.sleep(1)  # a large query, somebody else's API, …
    return f"{name}, made by {socket.gethostname()} at {time.time():.3f}\n".encode()


def page(name):
    """The page, and what the cache had to do with it."""
    try:
        found = CACHE.get(name)
        if found is not None:
            return found, "hit"
        made = make(name)
        CACHE.set(name, made, ex=REMEMBER_SECONDS)
        return made, "miss"
    except redis.RedisError:
        return make(name), "off"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthy":
            body, cache = b"yes\n", "none"
        elif self.path.startswith("/page/"):
            body, cache = page(self.path.removeprefix("/page/"))
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Cache", cache)
        self.send_header("X-Served-By", socket.gethostname())
        self.end_headers()
        self.wfile.write(body)


if sys.argv[1:] == ["check"]:
    urllib.request.urlopen("http://127.0.0.1:8080/healthy", timeout=2)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
