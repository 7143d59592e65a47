"""The conformance suite's test vocabulary: registration, the per-test environment, checks.

A test is a function `test_<ROW>_<what>(env)`; the row id of features.md is part of its name.
Tests on node "main" run side by side and use fresh names; all other node names are groups that
run one after the other on a node of their own (see nodes.py).
"""

import contextlib
import itertools
import json
import re
import time

import amqp_wire
from amqp_wire import (ChannelClosed, Connection, ConnectionClosed, Eof, Typed,  # noqa: F401
                       WaitTimeout, Wire, WireError)

TESTS = []
_serial = itertools.count(1)


class Skip(Exception):
    """The test cannot be made here; the text says why."""


class Test:
    def __init__(self, function, name, args, node, oracle, reason):
        self.function, self.name, self.args = function, name, args
        self.node, self.oracle, self.reason = node, oracle, reason
        self.row = "-".join(name.split("_")[1:3])


def case(node="main", oracle=True, reason="", table=None):
    """Registers a test; `table` = {suffix: argument} makes one test per entry.

    oracle=False needs a reason and keeps the test away from RabbitMQ 3.10.
    """
    assert oracle or reason

    def register(function):
        for suffix, arg in (table or {None: None}).items():
            name = function.__name__ + ("" if suffix is None else f"[{suffix}]")
            args = () if table is None else (arg,)
            TESTS.append(Test(function, name, args, node, oracle, reason))
        return function
    return register


class Env:
    """What a test gets: a node, fresh names, connections that are closed afterwards."""

    def __init__(self, node, suite):
        self.node, self.suite, self.oracle = node, suite, suite.oracle
        self._open, self._undo = [], []

    def finish(self):
        for conn in self._open:
            conn.shut()
        for undo in reversed(self._undo):
            with contextlib.suppress(Exception):
                undo()

    def undo(self, function):
        """Runs `function` after the test, whatever its outcome."""
        self._undo.append(function)

    # -- connections ---------------------------------------------------------------------------

    def wire(self, **kw):
        """A connection whose handshake has not begun."""
        port = kw.pop("port", None) or self.node.port
        conn = Connection(kw.pop("host", "127.0.0.1"), port, **kw)
        self._open.append(conn)
        return conn

    def conn(self, **kw):
        return self.wire(**{k: kw.pop(k) for k in ("timeout", "tls", "source", "host", "port",
                                                   "rcvbuf") if k in kw}).open(**kw)

    def ch(self, **kw):
        """A channel on a connection of its own."""
        return self.conn(**kw).channel()

    # -- names and set-up ----------------------------------------------------------------------

    def name(self, kind="q"):
        return f"{kind}-{next(_serial)}-{int(time.time() * 1000) % 1000000}"

    def ctl(self, *args, **kw):
        return self.node.ctl(*args, **kw)

    def http(self, *args, **kw):
        return self.node.http(*args, **kw)

    def _put(self, path, body, *ctl):
        """Set-up that is not itself under test: HTTP on the oracle (its ctl takes seconds)."""
        if self.oracle and self.node.plugins_path.read_text().find("management") > 0:
            status, answer = self.http("PUT", path, body)
            assert status in (201, 204), (path, status, answer)
        else:
            for line in ctl:
                self.ctl(*line)

    def vhost(self):
        """A new vhost on which guest may do everything."""
        v = self.name("v")
        self._put(f"/api/vhosts/{v}", {}, ("add_vhost", v))
        self.allow("guest", vhost=v)
        return v

    def user(self, configure=".*", write=".*", read=".*", vhost="/", tags=(), password="pw"):
        """A new user with permissions on one vhost (configure=None: none at all)."""
        u = self.name("u")
        self._put(f"/api/users/{u}", {"password": password, "tags": ",".join(tags)},
                  ("add_user", u, password), *([("set_user_tags", u, *tags)] if tags else []))
        if configure is not None:
            self.allow(u, configure, write, read, vhost)
        return u

    def allow(self, user, configure=".*", write=".*", read=".*", vhost="/"):
        self._put(f"/api/permissions/{vhost.replace('/', '%2f')}/{user}",
                  {"configure": configure, "write": write, "read": read},
                  ("set_permissions", "-p", vhost, user, configure, write, read))

    def policy(self, pattern, definition, vhost="/", priority=0, apply_to="all", operator=False):
        """Sets a policy and returns its name; it goes away after the test."""
        p = self.name("p")
        kind = "operator-policies" if operator else "policies"
        infix = "_operator" if operator else ""
        self._put(f"/api/{kind}/{vhost.replace('/', '%2f')}/{p}",
                  {"pattern": pattern, "definition": definition, "priority": priority,
                   "apply-to": apply_to},
                  (f"set{infix}_policy", "-p", vhost, "--priority", priority, "--apply-to",
                   apply_to, p, pattern, json.dumps(definition)))
        path = f"/api/{kind}/{vhost.replace('/', '%2f')}/{p}"
        self.undo((lambda: self.http("DELETE", path)) if self.oracle else
                  (lambda: self.ctl(f"clear{infix}_policy", "-p", vhost, p)))
        return p

    def rows(self, command, *columns, vhost=None, options=()):
        """A list_* command through JSON: a list of dicts."""
        where = ("-p", vhost) if vhost else ()
        out = self.ctl("--silent", "--formatter", "json", command, *where, *options, *columns).out
        return json.loads(out[out.index("["):]) if "[" in out else []

    def table(self, command, *columns, vhost=None):
        """A list_* command as its plain table without header: a list of dicts of text."""
        where = ("-p", vhost) if vhost else ()
        out = self.ctl("--silent", command, *where, *columns).out
        return [dict(zip(columns, line.split("\t"))) for line in out.splitlines()]

    def queue_row(self, queue, *columns, vhost=None):
        for row in self.rows("list_queues", "name", *columns, vhost=vhost):
            if row["name"] == queue:
                return row
        raise AssertionError(f"list_queues does not show {queue}")


# -- checks ------------------------------------------------------------------------------------

def eq(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what + ': ' if what else ''}got {got!r}, expected {want!r}")


def has(text, piece):
    if piece not in text:
        raise AssertionError(f"{piece!r} not in {text!r}")


def match(text, pattern):
    if not re.search(pattern, text, re.S):
        raise AssertionError(f"{text!r} does not match {pattern!r}")


@contextlib.contextmanager
def _closes(kind, code, start, ids):
    box = []
    try:
        yield box
    except kind as error:
        eq(error.code, code, f"reply code of {error}")
        if start:
            match(error.text, "^" + start)
        if ids is not None:
            eq(error.ids, ids, f"class and method id of {error}")
        if len(error.text.encode("utf-8", "surrogateescape")) > 255:
            raise AssertionError("reply-text longer than 255 bytes") from None
        box.append(error)
    else:
        raise AssertionError(f"expected {kind.__name__} {code}, nothing was closed")


def closes_channel(code, start="", ids=None):
    """The block must end in channel.close with this code, text start (regex) and ids."""
    return _closes(ChannelClosed, code, start, ids)


def closes_connection(code, start="", ids=None):
    """The block must end in connection.close with this code, text start (regex) and ids."""
    return _closes(ConnectionClosed, code, start, ids)


def until(probe, what="condition", timeout=10.0, pause=0.02):
    """Polls until `probe()` is true and returns its value; an AssertionError at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what} (last: {value!r})")
        time.sleep(pause)


def count(ch, queue):
    """Ready messages by passive declare."""
    return ch.declare(queue, passive=True).message_count


def until_count(ch, queue, n, timeout=10.0):
    until(lambda: count(ch, queue) == n, f"{queue} has {n} ready", timeout)


def drain(ch, queue):
    """Gets everything there is, acknowledged; returns the get-ok methods."""
    out = []
    while (m := ch.get(queue, no_ack=True)) is not None:
        out.append(m)
    return out


def bodies(messages):
    return [m.body.decode() for m in messages]


def untyped(value):
    """Strips Typed from a decoded value."""
    if isinstance(value, amqp_wire.Typed):
        return untyped(value.value)
    if isinstance(value, dict):
        return {k: untyped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [untyped(v) for v in value]
    return value
