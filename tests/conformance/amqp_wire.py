"""AMQP 0-9-1 on a raw socket: codec, frames, and a small synchronous client.

Owner: tests/conformance; reused by other end-to-end tests.  Nothing here hides what the server
sent: close frames surface as exceptions that carry code, text, class and method id, headers keep
their raw bytes, and every step of the handshake can be made by hand (and made wrongly).

One Connection belongs to one thread.  Reading is done only while somebody waits.
"""

import collections
import socket
import struct
import time

HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, CONTENT_HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"
DEFAULT_TIMEOUT = 10.0


class WireError(Exception):
    """The peer sent something that does not parse, or vanished."""


class Eof(WireError):
    """The peer closed TCP."""


class WaitTimeout(WireError):
    """Nothing that was waited for came in time."""


class Closed(WireError):
    """The server closed the channel or connection; attributes are those of the close frame."""

    def __init__(self, what, method):
        self.code = method.reply_code
        self.text = method.reply_text
        self.ids = (method.failing_class, method.failing_method)
        super().__init__(f"{what} closed: {self.code} {self.text!r} ids={self.ids}")


class ChannelClosed(Closed):
    """channel.close arrived; close-ok was sent."""


class ConnectionClosed(Closed):
    """connection.close arrived; close-ok was sent."""


# ---------------------------------------------------------------------------------------------
# Field tables
# ---------------------------------------------------------------------------------------------

class Typed(collections.namedtuple("Typed", "tag value")):
    """A field value with its tag spelled out, for example Typed('B', 7)."""


_NUMBERS = {"t": "?", "b": "b", "B": "B", "s": "h", "u": "H", "I": "i", "i": "I", "l": "q",
            "L": "q", "T": "Q", "f": "f", "d": "d"}


def encode_value(value):
    """Encodes one field value with its tag; plain Python values get the usual tag."""
    if not isinstance(value, Typed):
        value = _guess(value)
    tag, v = value
    if tag in _NUMBERS:
        return tag.encode() + struct.pack(">" + _NUMBERS[tag], v)
    if tag == "V":
        return b"V"
    if tag == "D":
        return b"D" + struct.pack(">BI", v[0], v[1])
    if tag == "A":
        v = b"".join(encode_value(item) for item in v)
    elif tag == "F":
        return b"F" + encode_table(v)
    elif isinstance(v, str):
        v = v.encode()
    return tag.encode() + struct.pack(">I", len(v)) + v


def _guess(value):
    if value is None:
        return Typed("V", None)
    if isinstance(value, bool):
        return Typed("t", value)
    if isinstance(value, int):
        return Typed("I" if -2**31 <= value < 2**31 else "l", value)
    if isinstance(value, float):
        return Typed("d", value)
    if isinstance(value, bytes):
        return Typed("x", value)
    if isinstance(value, dict):
        return Typed("F", value)
    if isinstance(value, (list, tuple)):
        return Typed("A", value)
    return Typed("S", value)


def encode_table(table):
    """Encodes a table with its length; `table` is a dict or a list of (name, value)."""
    items = table.items() if isinstance(table, dict) else table
    body = b"".join(shortstr(k) + encode_value(v) for k, v in items)
    return struct.pack(">I", len(body)) + body


def shortstr(text):
    raw = text.encode() if isinstance(text, str) else text
    return bytes([len(raw)]) + raw


def longstr(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(">I", len(raw)) + raw


class Reader:
    """Reads AMQP primitives from bytes; raises WireError past the end."""

    def __init__(self, data, typed=False):
        self.data, self.pos, self.typed = data, 0, typed

    def take(self, n):
        if self.pos + n > len(self.data):
            raise WireError("field runs past the end of the frame")
        piece = self.data[self.pos:self.pos + n]
        self.pos += n
        return piece

    def number(self, fmt):
        return struct.unpack(">" + fmt, self.take(struct.calcsize(">" + fmt)))[0]

    def shortstr(self):
        return self.take(self.number("B")).decode("utf-8", "surrogateescape")

    def longstr(self):
        return self.take(self.number("I"))

    def table(self):
        inner = Reader(self.longstr(), self.typed)
        out = {}
        while inner.pos < len(inner.data):
            name = inner.shortstr()
            out[name] = inner.value()
        return out

    def value(self):
        tag = self.take(1).decode("latin-1")
        if tag in _NUMBERS:
            v = self.number(_NUMBERS[tag])
        elif tag == "V":
            v = None
        elif tag == "D":
            v = (self.number("B"), self.number("I"))
        elif tag == "F":
            v = self.table()
        elif tag == "A":
            inner, v = Reader(self.longstr(), self.typed), []
            while inner.pos < len(inner.data):
                v.append(inner.value())
        elif tag in "Sx":
            v = self.longstr()
            if tag == "S":
                v = v.decode("utf-8", "surrogateescape")
        else:
            raise WireError(f"unknown field tag {tag!r}")
        return Typed(tag, v) if self.typed else v


def decode_table(raw, typed=False):
    """Decodes a table that starts with its length; typed=True keeps every tag."""
    return Reader(raw, typed).table()


# ---------------------------------------------------------------------------------------------
# Methods
# ---------------------------------------------------------------------------------------------

_SPEC = """
10.10 connection.start B:version_major B:version_minor t:server_properties L:mechanisms L:locales
10.11 connection.start-ok t:client_properties s:mechanism L:response s:locale
10.20 connection.secure L:challenge
10.21 connection.secure-ok L:response
10.30 connection.tune H:channel_max I:frame_max H:heartbeat
10.31 connection.tune-ok H:channel_max I:frame_max H:heartbeat
10.40 connection.open s:virtual_host s:reserved_1 b:reserved_2
10.41 connection.open-ok s:reserved_1
10.50 connection.close H:reply_code s:reply_text H:failing_class H:failing_method
10.51 connection.close-ok
10.60 connection.blocked s:reason
10.61 connection.unblocked
10.70 connection.update-secret L:new_secret s:reason
10.71 connection.update-secret-ok
20.10 channel.open s:reserved_1
20.11 channel.open-ok L:reserved_1
20.20 channel.flow b:active
20.21 channel.flow-ok b:active
20.40 channel.close H:reply_code s:reply_text H:failing_class H:failing_method
20.41 channel.close-ok
30.10 access.request s:realm b:exclusive b:passive b:active b:write b:read
30.11 access.request-ok H:ticket
40.10 exchange.declare H:ticket s:exchange s:type b:passive b:durable b:auto_delete b:internal b:nowait t:arguments
40.11 exchange.declare-ok
40.20 exchange.delete H:ticket s:exchange b:if_unused b:nowait
40.21 exchange.delete-ok
40.30 exchange.bind H:ticket s:destination s:source s:routing_key b:nowait t:arguments
40.31 exchange.bind-ok
40.40 exchange.unbind H:ticket s:destination s:source s:routing_key b:nowait t:arguments
40.51 exchange.unbind-ok
50.10 queue.declare H:ticket s:queue b:passive b:durable b:exclusive b:auto_delete b:nowait t:arguments
50.11 queue.declare-ok s:queue I:message_count I:consumer_count
50.20 queue.bind H:ticket s:queue s:exchange s:routing_key b:nowait t:arguments
50.21 queue.bind-ok
50.30 queue.purge H:ticket s:queue b:nowait
50.31 queue.purge-ok I:message_count
50.40 queue.delete H:ticket s:queue b:if_unused b:if_empty b:nowait
50.41 queue.delete-ok I:message_count
50.50 queue.unbind H:ticket s:queue s:exchange s:routing_key t:arguments
50.51 queue.unbind-ok
60.10 basic.qos I:prefetch_size H:prefetch_count b:global_
60.11 basic.qos-ok
60.20 basic.consume H:ticket s:queue s:consumer_tag b:no_local b:no_ack b:exclusive b:nowait t:arguments
60.21 basic.consume-ok s:consumer_tag
60.30 basic.cancel s:consumer_tag b:nowait
60.31 basic.cancel-ok s:consumer_tag
60.40 basic.publish H:ticket s:exchange s:routing_key b:mandatory b:immediate
60.50 basic.return H:reply_code s:reply_text s:exchange s:routing_key
60.60 basic.deliver s:consumer_tag Q:delivery_tag b:redelivered s:exchange s:routing_key
60.70 basic.get H:ticket s:queue b:no_ack
60.71 basic.get-ok Q:delivery_tag b:redelivered s:exchange s:routing_key I:message_count
60.72 basic.get-empty s:reserved_1
60.80 basic.ack Q:delivery_tag b:multiple
60.90 basic.reject Q:delivery_tag b:requeue
60.100 basic.recover-async b:requeue
60.110 basic.recover b:requeue
60.111 basic.recover-ok
60.120 basic.nack Q:delivery_tag b:multiple b:requeue
85.10 confirm.select b:nowait
85.11 confirm.select-ok
90.10 tx.select
90.11 tx.select-ok
90.20 tx.commit
90.21 tx.commit-ok
90.30 tx.rollback
90.31 tx.rollback-ok
"""

_BY_NAME, _BY_ID = {}, {}
for _line in _SPEC.strip().splitlines():
    _ids, _name, *_fields = _line.split()
    _key = tuple(int(part) for part in _ids.split("."))
    _BY_NAME[_name] = _BY_ID[_key] = (_key, _name, [f.split(":") for f in _fields])

CONTENT_METHODS = {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}
ZERO = {"s": "", "L": b"", "t": {}, "b": False}


class Method:
    """A decoded method; fields are attributes, content methods also have props and body."""

    def __init__(self, key, name, fields):
        self.ids, self.name, self.fields = key, name, fields
        self.props, self.body, self.headers_raw, self.body_frames = None, None, None, []

    def __getattr__(self, field):
        try:
            return self.__dict__["fields"][field]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('name')} has no field {field}") from None

    @property
    def headers(self):
        return (self.props or {}).get("headers", {})

    def __repr__(self):
        content = "" if self.body is None else f" body={self.body[:40]!r} props={self.props}"
        return f"<{self.name} {self.fields}{content}>"


def method_payload(name, **args):
    """Encodes a method; fields left out are zero, unknown names are an error of the test."""
    (cls, meth), _, fields = _BY_NAME[name]
    unknown = set(args) - {f for _, f in fields}
    if unknown:
        raise TypeError(f"{name} has no field {sorted(unknown)}")
    out, bits, nbits = [struct.pack(">HH", cls, meth)], 0, 0
    for kind, field in fields:
        v = args.get(field, ZERO.get(kind, 0))
        if kind == "b":
            bits |= bool(v) << nbits
            nbits += 1
            continue
        if nbits:
            out.append(bytes([bits]))
            bits = nbits = 0
        if kind == "s":
            out.append(shortstr(v))
        elif kind == "L":
            out.append(longstr(v))
        elif kind == "t":
            out.append(v if isinstance(v, bytes) else encode_table(v))
        else:
            out.append(struct.pack(">" + kind, v))
    if nbits:
        out.append(bytes([bits]))
    return b"".join(out)


def decode_method(payload):
    """Decodes a method frame's payload."""
    r = Reader(payload)
    key = (r.number("H"), r.number("H"))
    if key not in _BY_ID:
        raise WireError(f"server sent unknown method {key}")
    _, name, fields = _BY_ID[key]
    out, bits, nbits = {}, 0, 8
    for kind, field in fields:
        if kind == "b":
            if nbits == 8:
                bits, nbits = r.number("B"), 0
            out[field] = bool(bits >> nbits & 1)
            nbits += 1
            continue
        nbits = 8
        if kind == "s":
            out[field] = r.shortstr()
        elif kind == "L":
            out[field] = r.longstr()
        elif kind == "t":
            out[field] = r.table()
        else:
            out[field] = r.number(kind)
    if r.pos != len(payload):
        raise WireError(f"{name} has {len(payload) - r.pos} bytes too many")
    return Method(key, name, out)


# ---------------------------------------------------------------------------------------------
# Content
# ---------------------------------------------------------------------------------------------

PROPERTIES = [("content_type", "s"), ("content_encoding", "s"), ("headers", "t"),
              ("delivery_mode", "B"), ("priority", "B"), ("correlation_id", "s"),
              ("reply_to", "s"), ("expiration", "s"), ("message_id", "s"), ("timestamp", "Q"),
              ("type", "s"), ("user_id", "s"), ("app_id", "s"), ("cluster_id", "s")]


def header_payload(size, props=None, class_id=60, weight=0):
    """Encodes a content header; props["headers"] may be raw table bytes."""
    props, flags, out = dict(props or {}), 0, []
    for i, (name, kind) in enumerate(PROPERTIES):
        if name not in props:
            continue
        v = props.pop(name)
        flags |= 1 << (15 - i)
        if kind == "s":
            out.append(shortstr(v))
        elif kind == "t":
            out.append(v if isinstance(v, bytes) else encode_table(v))
        else:
            out.append(struct.pack(">" + kind, v))
    if props:
        raise TypeError(f"no such properties: {sorted(props)}")
    return struct.pack(">HHQH", class_id, weight, size, flags) + b"".join(out)


def decode_header(payload):
    """Returns (body size, properties, raw header table or None)."""
    r = Reader(payload)
    cls, weight, size, flags = (r.number(f) for f in "HHQH")
    if cls != 60 or weight != 0:
        raise WireError(f"content header with class {cls}, weight {weight}")
    props, raw = {}, None
    for i, (name, kind) in enumerate(PROPERTIES):
        if not flags >> (15 - i) & 1:
            continue
        if kind == "s":
            props[name] = r.shortstr()
        elif kind == "t":
            start = r.pos
            props[name] = r.table()
            raw = payload[start:r.pos]
        else:
            props[name] = r.number(kind)
    if flags & 1 or r.pos != len(payload):
        raise WireError("content header has bytes too many")
    return size, props, raw


# ---------------------------------------------------------------------------------------------
# Socket
# ---------------------------------------------------------------------------------------------

Frame = collections.namedtuple("Frame", "type channel payload")


def frame(kind, channel, payload, end=END):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


class Wire:
    """A socket that speaks frames and nothing more."""

    def __init__(self, host, port, timeout=DEFAULT_TIMEOUT, tls=None, source=None, rcvbuf=None):
        self.timeout, self.buffer = timeout, b""
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(timeout)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=host)

    def send(self, data):
        self.sock.settimeout(self.timeout)
        self.sock.sendall(data)

    def send_frame(self, kind, channel, payload, end=END):
        self.send(frame(kind, channel, payload, end))

    def send_method(self, channel, name, **args):
        self.send(frame(METHOD, channel, method_payload(name, **args)))

    def recv_some(self, timeout):
        """Reads what there is; raises Eof or WaitTimeout."""
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(1 << 16)
        except (socket.timeout, TimeoutError):
            raise WaitTimeout("no bytes from the server") from None
        except OSError as error:
            raise Eof(f"connection reset: {error}") from None
        if not data:
            raise Eof("server closed TCP")
        self.buffer += data

    def recv_exact(self, n, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self.buffer) < n:
            self.recv_some(deadline - time.monotonic())
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def recv_frame(self, timeout=None):
        """Returns the next frame; leaves the buffer whole when it times out."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            if len(self.buffer) >= 7:
                kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
                if len(self.buffer) >= size + 8:
                    payload, end = self.buffer[7:size + 7], self.buffer[size + 7:size + 8]
                    self.buffer = self.buffer[size + 8:]
                    if end != END:
                        raise WireError(f"frame ends with {end!r}")
                    return Frame(kind, channel, payload)
            self.recv_some(deadline - time.monotonic())

    def recv_method(self, timeout=None):
        """Next method on any channel, heartbeats skipped; for handshakes made by hand."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            f = self.recv_frame(deadline - time.monotonic())
            if f.type == METHOD:
                m = decode_method(f.payload)
                m.channel = f.channel
                return m
            if f.type != HEARTBEAT:
                raise WireError(f"expected a method, got frame type {f.type}")

    def read_until_eof(self, timeout=None):
        """Returns everything until the server closes TCP; WaitTimeout when it does not."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            try:
                self.recv_some(deadline - time.monotonic())
            except Eof:
                data, self.buffer = self.buffer, b""
                return data

    def shut(self):
        try:
            self.sock.close()
        except OSError:
            pass


CAPABILITIES = {"publisher_confirms": True, "exchange_exchange_bindings": True,
                "basic.nack": True, "consumer_cancel_notify": True, "connection.blocked": True,
                "authentication_failure_close": True}


def plain(user, password):
    return b"\0" + user.encode() + b"\0" + password.encode()


class Connection(Wire):
    """An AMQP connection; `open()` makes the whole handshake, or make the steps by hand."""

    def __init__(self, host, port, **kw):
        super().__init__(host, port, **kw)
        self.channels, self.events, self.closed = {}, collections.deque(), None
        self.frame_max, self.heartbeats = 131072, 0

    def start(self):
        self.send(HEADER)
        return self.recv_method()

    def start_ok(self, user="guest", password="guest", mechanism="PLAIN", response=None,
                 capabilities=None, properties=None):
        caps = CAPABILITIES if capabilities is None else capabilities
        response = plain(user, password) if response is None else response
        self.send_method(0, "connection.start-ok", mechanism=mechanism, response=response,
                         locale="en_US",
                         client_properties={"product": "conformance", "capabilities": caps,
                                            **(properties or {})})

    def tune_ok(self, channel_max=2047, frame_max=131072, heartbeat=0):
        self.frame_max = frame_max or 131072
        self.send_method(0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max,
                         heartbeat=heartbeat)

    def open_vhost(self, vhost="/"):
        self.send_method(0, "connection.open", virtual_host=vhost)
        return self.expect(0, "connection.open-ok")

    def open(self, user="guest", password="guest", vhost="/", channel_max=None, frame_max=None,
             heartbeat=0, **start):
        """Handshake; returns self; raises ConnectionClosed when refused."""
        self.server = self.start()
        self.start_ok(user, password, **start)
        tune = self.tune = self.expect(0, "connection.tune")
        self.tune_ok(tune.channel_max if channel_max is None else channel_max,
                     tune.frame_max if frame_max is None else frame_max, heartbeat)
        self.open_vhost(vhost)
        return self

    def expect(self, channel, name, timeout=None):
        """Waits for a method on channel 0 (by name); raises ConnectionClosed."""
        return self._wait(self.events, (name,), timeout, None)

    def channel(self, number=None, open_it=True):
        number = number or max(self.channels, default=0) + 1
        ch = self.channels[number] = Channel(self, number)
        if open_it:
            ch.call("channel.open")
        return ch

    def pump(self, timeout):
        """Reads one frame and puts it where it belongs."""
        f = self.recv_frame(timeout)
        if f.type == HEARTBEAT:
            self.heartbeats += 1
            return
        if f.channel:
            if f.channel not in self.channels:
                raise WireError(f"frame on channel {f.channel} that is not open")
            self.channels[f.channel].on_frame(f)
            return
        m = decode_method(f.payload)
        if m.name == "connection.close":
            self.closed = ConnectionClosed("connection", m)
            try:
                self.send_method(0, "connection.close-ok")
            except OSError:
                pass
            return
        self.events.append(m)

    def _wait(self, inbox, names, timeout, channel):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            for m in inbox:
                if m.name in names:
                    inbox.remove(m)
                    return m
            if channel is not None and channel.closed:
                raise channel.closed
            if self.closed:
                raise self.closed
            try:
                self.pump(deadline - time.monotonic())
            except WaitTimeout:
                raise WaitTimeout(f"waited for {'/'.join(names)}, inbox {list(inbox)}") from None

    def wait_close(self, timeout=None):
        """Waits until the server closes the connection and returns the ConnectionClosed."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while not self.closed:
            self.pump(deadline - time.monotonic())
        return self.closed

    def dies(self, timeout=None):
        """Waits for connection.close and raises it."""
        raise self.wait_close(timeout)

    def close(self):
        """Closes politely and waits for close-ok."""
        self.send_method(0, "connection.close", reply_code=200, reply_text="bye")
        self.expect(0, "connection.close-ok")
        self.shut()


REPLIES = {"connection.open": "connection.open-ok", "basic.get": None}


class Channel:
    """One channel; calls wait for their reply, everything else collects in `inbox`."""

    def __init__(self, conn, number):
        self.conn, self.number, self.closed = conn, number, None
        self.inbox, self.partial, self.published = collections.deque(), None, 0

    # -- plumbing ------------------------------------------------------------------------------

    def on_frame(self, f):
        if f.type == METHOD:
            m = decode_method(f.payload)
            if self.partial:
                raise WireError(f"{m} in the middle of a content")
            if m.name == "channel.close":
                self.closed = ChannelClosed("channel", m)
                self.conn.send_method(self.number, "channel.close-ok")
            elif m.name in CONTENT_METHODS:
                self.partial = m
            else:
                self.inbox.append(m)
        elif f.type == CONTENT_HEADER:
            m = self.partial
            m.size, m.props, m.headers_raw = decode_header(f.payload)
            m.body = b""
            self._content_done()
        elif f.type == BODY:
            self.partial.body += f.payload
            self.partial.body_frames.append(len(f.payload))
            self._content_done()

    def _content_done(self):
        if len(self.partial.body) > self.partial.size:
            raise WireError("more body than announced")
        if len(self.partial.body) == self.partial.size:
            self.inbox.append(self.partial)
            self.partial = None

    def send(self, name, **args):
        self.conn.send_method(self.number, name, **args)

    def wait(self, *names, timeout=None):
        """Waits for a method by name; raises ChannelClosed or ConnectionClosed."""
        return self.conn._wait(self.inbox, names, timeout, self)

    def call(self, name, timeout=None, **args):
        self.send(name, **args)
        return self.wait(name + "-ok", timeout=timeout)

    def wait_close(self, timeout=None):
        """Waits for channel.close and returns the ChannelClosed."""
        deadline = time.monotonic() + (timeout or self.conn.timeout)
        while not self.closed:
            if self.conn.closed:
                raise self.conn.closed
            self.conn.pump(deadline - time.monotonic())
        return self.closed

    def dies(self, timeout=None):
        """Waits for the close of this channel or its connection and raises it."""
        raise self.wait_close(timeout)

    def sync(self):
        """A round trip: everything sent before has been processed by the channel."""
        self.call("basic.qos", prefetch_count=0)

    # -- the methods ---------------------------------------------------------------------------

    def declare(self, queue="", arguments=None, **kw):
        return self.call("queue.declare", queue=queue, arguments=arguments or {}, **kw)

    def delete(self, queue, **kw):
        return self.call("queue.delete", queue=queue, **kw).message_count

    def purge(self, queue):
        return self.call("queue.purge", queue=queue).message_count

    def bind(self, queue, exchange, key="", arguments=None):
        return self.call("queue.bind", queue=queue, exchange=exchange, routing_key=key,
                         arguments=arguments or {})

    def unbind(self, queue, exchange, key="", arguments=None):
        return self.call("queue.unbind", queue=queue, exchange=exchange, routing_key=key,
                         arguments=arguments or {})

    def exchange(self, exchange, type="direct", arguments=None, **kw):
        return self.call("exchange.declare", exchange=exchange, type=type,
                         arguments=arguments or {}, **kw)

    def xdelete(self, exchange, **kw):
        return self.call("exchange.delete", exchange=exchange, **kw)

    def xbind(self, destination, source, key="", arguments=None):
        return self.call("exchange.bind", destination=destination, source=source,
                         routing_key=key, arguments=arguments or {})

    def xunbind(self, destination, source, key="", arguments=None):
        return self.call("exchange.unbind", destination=destination, source=source,
                         routing_key=key, arguments=arguments or {})

    def publish(self, exchange, key, body=b"m", props=None, mandatory=False, immediate=False,
                chunk=None):
        """Sends a whole content in one write."""
        body = body.encode() if isinstance(body, str) else body
        n, step = self.number, chunk or self.conn.frame_max - 8
        parts = [frame(METHOD, n, method_payload("basic.publish", exchange=exchange,
                                                 routing_key=key, mandatory=mandatory,
                                                 immediate=immediate)),
                 frame(CONTENT_HEADER, n, header_payload(len(body), props))]
        parts += [frame(BODY, n, body[i:i + step]) for i in range(0, len(body), step)]
        self.conn.send(b"".join(parts))
        self.published += 1

    def confirm(self):
        self.call("confirm.select")
        self.published = 0

    def wait_confirms(self, count=None, timeout=None):
        """Waits until `count` (default: all) publishes are settled; returns (acked, nacked)."""
        want = set(range(1, (count or self.published) + 1))
        acked, nacked = set(), set()
        while want - acked - nacked:
            m = self.wait("basic.ack", "basic.nack", timeout=timeout)
            tags = {t for t in want - acked - nacked if t <= m.delivery_tag} \
                if m.multiple else {m.delivery_tag}
            (acked if m.name == "basic.ack" else nacked).update(tags)
        return acked, nacked

    def publish_confirmed(self, exchange, key, body=b"m", props=None, **kw):
        """Publishes one message on a confirm channel and returns 'ack' or 'nack'."""
        self.publish(exchange, key, body, props, **kw)
        while True:
            m = self.wait("basic.ack", "basic.nack")
            if m.delivery_tag >= self.published:
                return m.name.split(".")[1]

    def get(self, queue, no_ack=False):
        """basic.get; returns the get-ok or None when empty."""
        self.send("basic.get", queue=queue, no_ack=no_ack)
        m = self.wait("basic.get-ok", "basic.get-empty")
        return m if m.name == "basic.get-ok" else None

    def consume(self, queue, tag="", arguments=None, **kw):
        return self.call("basic.consume", queue=queue, consumer_tag=tag,
                         arguments=arguments or {}, **kw).consumer_tag

    def cancel(self, tag):
        return self.call("basic.cancel", consumer_tag=tag).consumer_tag

    def qos(self, count, global_=False, size=0):
        return self.call("basic.qos", prefetch_count=count, global_=global_, prefetch_size=size)

    def ack(self, tag, multiple=False):
        self.send("basic.ack", delivery_tag=tag, multiple=multiple)

    def nack(self, tag, multiple=False, requeue=True):
        self.send("basic.nack", delivery_tag=tag, multiple=multiple, requeue=requeue)

    def reject(self, tag, requeue=True):
        self.send("basic.reject", delivery_tag=tag, requeue=requeue)

    def delivery(self, timeout=None):
        return self.wait("basic.deliver", timeout=timeout)

    def deliveries(self, n, timeout=None):
        return [self.delivery(timeout) for _ in range(n)]

    def nothing(self, quiet=0.2):
        """Checks that no delivery comes within `quiet` seconds (an absence has no event)."""
        try:
            m = self.wait("basic.deliver", timeout=quiet)
        except WaitTimeout:
            return
        raise AssertionError(f"unexpected delivery {m}")

    def close(self):
        self.call("channel.close", reply_code=200, reply_text="bye")
        self.conn.channels.pop(self.number, None)
