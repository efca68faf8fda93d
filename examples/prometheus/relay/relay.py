"""Hands on GET /metrics of the node's API to port 9323, with the node's name beside them; and nothing else."""
import http.client
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOCKET = os.environ["DOCKER_HOST"].removeprefix("unix://")  # given with use_api_socket
NODE = f'# TYPE skein_node_info gauge\nskein_node_info{{hostname="{os.environ["NODE"]}"}} 1\n'


class Api(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(4)
        self.sock.connect(SOCKET)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/metrics":
            self.send_error(404)
            return
        try:
            api = Api("localhost")
            api.request("GET", "/metrics")
            answer = api.getresponse()
            status, text = answer.status, answer.read()
            api.close()
        except OSError as error:
            self.send_error(503, f"the daemon does not answer: {error}")
            return
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(NODE.encode() + text)

    def log_message(self, *_):
        pass  # every five seconds the same


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", 9323), Handler).serve_forever()
