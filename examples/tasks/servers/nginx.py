"""Stands for the tasks' NGINX: HTTPS on a port (of this host alone, or at an ADDRESS:PORT), with a certificate and its key.

If it is given the certificate of an authority, too, it serves only clients that the authority vouches for.
"""

from __future__ import annotations

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WHERE, CERTIFICATE, KEY, *AUTHORITY = sys.argv[1:]
ADDRESS, _, PORT = WHERE.rpartition(":")


class Welcome(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet for an answer

    def do_GET(self) -> None:
        body = b"<title>Welcome to nginx!</title>\n"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    for authority in AUTHORITY:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer((ADDRESS or "127.0.0.1", int(PORT)), Welcome)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
