"""CON-36: connections behind a load balancer that speaks the PROXY protocol."""

import socket
import ssl
import struct
import subprocess
import time

import amqp_wire
import node as node_mod
from harness import case, closes_connection, eq, has, until

BINARY = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, port, target="10.9.8.7"):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {target} {port} 5672\r\n".encode()


def v2(source, port, target="10.9.8.7", extra=b"", command=0x21):
    six = ":" in source
    kind = socket.AF_INET6 if six else socket.AF_INET
    body = (socket.inet_pton(kind, source) + socket.inet_pton(kind, target)
            + struct.pack(">HH", port, 5672) + extra)
    return BINARY + bytes([command, 0x21 if six else 0x11]) + struct.pack(">H", len(body)) + body


def _up(node):
    """Starts a node that answers only behind a header."""
    node.start(wait=False)

    def answers():
        try:
            wire = amqp_wire.Connection("127.0.0.1", node.port, timeout=2)
        except OSError:
            return False
        try:
            wire.send(v1("127.0.0.1", 4000, "127.0.0.1"))
            return wire.start().name == "connection.start"
        except (OSError, amqp_wire.WireError):
            return False
        finally:
            wire.shut()
    until(answers, "the node behind its proxy", timeout=90, pause=0.1)
    return node


def _opened(env, node, header, whole=True, **kw):
    wire = env.wire(port=node.port, **kw)
    for piece in ([header] if whole else [header[i:i + 1] for i in range(len(header))]):
        wire.send(piece)
    return wire.open()


@case(node="own")
def test_CON_36_addresses_of_the_header_are_the_clients(env):
    node = _up(env.suite.nodes.make("proxied", config="proxy_protocol = true\nloopback_users = none\n"))
    cases = [(v1("10.1.2.3", 4001), "10.1.2.3"), (v2("10.1.2.4", 4002), "10.1.2.4"),
             (v2("10.1.2.5", 4003, extra=b"\x04\0\x05extra"), "10.1.2.5"),
             (v1("2001:db8::7", 4004, "::1"), "2001:db8::7"),
             (v2("2001:db8::8", 4005, "2001:db8::9"), "2001:db8::8")]
    # asked RabbitMQ 3.10.8: a header in pieces is a reset connection there, one without addresses a crash
    kept = [_opened(env, node, header, whole=env.oracle or n % 2 == 0) for n, (header, _) in enumerate(cases)]
    if not env.oracle:
        kept.append(_opened(env, node, b"PROXY UNKNOWN\r\n"))
        kept.append(_opened(env, node, BINARY + b"\x20\0\0\0"))
    out = node.ctl("--silent", "list_connections", "peer_host", "peer_port", "name").out
    rows = {line.split("\t")[1]: line.split("\t") for line in out.splitlines()}
    for n, (_, host) in enumerate(cases):
        eq(rows[str(4001 + n)][0], host)
    if not env.oracle:
        eq(rows["4001"][2], "10.1.2.3:4001 -> 10.9.8.7:5672")
    has(node.log_text(), "10.1.2.3:4001 -> ")
    eq(len(rows), len(kept))
    node.stop()


@case(node="own", oracle=False, reason="how it closes, and what it logs, is our own")
def test_CON_36_no_header_is_closed_with_a_line_in_the_log(env):
    node = _up(env.suite.nodes.make("proxied-bad", config="proxy_protocol = true\n"))
    for bad in (amqp_wire.HEADER, b"PROXY TCP4 1.2.3.4\r\n", b"GET / HTTP/1.1\r\n\r\n",
                BINARY + b"\x31\x11\0\x0c" + bytes(12), b"PROXY " + b"x" * 200):
        seen = len(node.log_text())
        wire = env.wire(port=node.port)
        wire.send(bad)
        eq(wire.read_until_eof(2), b"")
        until(lambda: "PROXY header" in node.log_text()[seen:], "a line in the log")
    silent = env.wire(port=node.port)
    silent.send(b"PROX")
    begin = time.monotonic()
    eq(silent.read_until_eof(15), b"")
    assert 3 < time.monotonic() - begin < 12
    node.stop()


@case(node="own", oracle=False, reason="3.10 looks at the proxy's place, not at the client's")
def test_CON_36_and_CON_08_guest_from_elsewhere_is_refused(env):
    node = _up(env.suite.nodes.make("proxied-guest", config="proxy_protocol = true\n"))
    for header in (v1("127.0.0.1", 4000, "127.0.0.1"), v2("127.0.0.1", 4000, command=0x20)):
        _opened(env, node, header)
    for header in (v1("10.1.2.3", 4000), v2("10.1.2.3", 4000), b"PROXY UNKNOWN\r\n"):
        with closes_connection(403):
            _opened(env, node, header)
    node.stop()


@case(node="own")
def test_CON_36_the_header_comes_before_tls(env):
    folder = env.suite.nodes.folder
    certificate, key = folder / "proxied-tls.crt", folder / "proxied-tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True)
    port = node_mod.free_port()
    node = _up(env.suite.nodes.make("proxied-tls", config=(
        f"proxy_protocol = true\nloopback_users = none\nlisteners.ssl.1 = 127.0.0.1:{port}\n"
        f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
        f"ssl_options.cacertfile = {certificate}\n")))
    wire = env.wire(port=port)
    wire.send(v1("10.1.2.3", 4000))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    wire.sock = context.wrap_socket(wire.sock)
    wire.open()
    row = node.ctl("--silent", "list_connections", "peer_host", "ssl").out.split()
    eq(row, ["10.1.2.3", "true"])
    node.stop()
