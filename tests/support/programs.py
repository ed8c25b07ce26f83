"""Servers and clients of bytes, of TLS and of requests, as programs for workloads; and a certificate for them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Says who it is before it is asked, as servers of databases do, and then returns what it gets.
GREETER = """
import os, socketserver, sys
class Greeter(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(os.environ["ANSWER"].encode() + b"\\n")
        for line in self.rfile:
            self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Greeter).serve_forever()
"""

# Asks for the URL as often as there are headers in the list; prints who answered, with the cookies that they set.
ASK = """
import json, sys, urllib.request
found = []
for headers in json.loads(sys.argv[2]):
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers)) as answer:
        found.append([answer.read().decode(), answer.headers.get_all("Set-Cookie") or []])
print(json.dumps(found))
"""

# A service is where the environment of a workload says; in containers, which have none, it is where its name leads.

# Connects to a service as often as it is told; prints who said so first.
CONNECT = """
import json, os, socket, sys
at = [os.environ.get(f"{sys.argv[1]}_SERVICE_{part}", own) for part, own in (("HOST", sys.argv[1].lower()), ("PORT", "8080"))]
found = []
for _ in range(int(sys.argv[2])):
    with socket.create_connection((at[0], int(at[1])), timeout=10) as connection:
        found.append(connection.makefile().readline().strip())
print(json.dumps(found))
"""


# The same behind TLS that is the application's own, with the certificate and key in its environment.
SECURE = GREETER.replace("import os,", "import os, ssl, tempfile,").replace(
    "daemon_threads = True",
    """daemon_threads = True
    def get_request(self):
        connection, address = super().get_request()
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
with tempfile.NamedTemporaryFile("w") as file:
    file.write(os.environ["CHAIN"] + os.environ["KEY"])
    file.flush()
    context.load_cert_chain(file.name)""",
)

# Connects to a service by TLS for each server name; prints who said so first, or nothing where that failed.
CONNECT_TLS = """
import json, os, socket, ssl, sys
at = [os.environ.get(f"{sys.argv[1]}_SERVICE_{part}", own) for part, own in (("HOST", sys.argv[1].lower()), ("PORT", "8080"))]
context = ssl.create_default_context(cafile=sys.argv[2] + "/chain.pem")
context.check_hostname = False
found = []
for name in sys.argv[3:]:
    try:
        with socket.create_connection((at[0], int(at[1])), timeout=10) as connection:
            with context.wrap_socket(connection, server_hostname=name) as secure:
                found.append(secure.makefile().readline().strip())
    except OSError:
        found.append("")
print(json.dumps(found))
"""


# Connects to a service, and sends a line through that connection for each that it reads.
KEEP = """
import os, socket, sys
at = [os.environ.get(f"{sys.argv[1]}_SERVICE_{part}", own) for part, own in (("HOST", sys.argv[1].lower()), ("PORT", "8080"))]
with socket.create_connection((at[0], int(at[1])), timeout=10) as connection:
    stream = connection.makefile("rw")
    print(stream.readline().strip(), flush=True)
    for line in sys.stdin:
        stream.write(line)
        stream.flush()
        print(stream.readline().strip(), flush=True)
"""


def write_certificate(folder: Path, *hosts: str) -> None:
    """Writes a certificate for hosts, which is its own root, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "chain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
