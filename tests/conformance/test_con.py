"""CON: connection, handshake, frames, errors (features.md 1.1)."""

import hashlib
import os
import random
import re
import struct
import time

from amqp_wire import (BODY, CONTENT_HEADER, HEADER, HEARTBEAT, METHOD, decode_method,
                       decode_table, encode_table, header_payload, longstr, method_payload,
                       plain, shortstr)
from harness import *  # noqa: F403
from harness import case, closes_channel, closes_connection, eq, has, match, until


# -- CON-01, 02: the first eight bytes -----------------------------------------------------------

@case(table={"minor-0": b"AMQP\x00\x00\x09\x00", "0-10": b"AMQP\x01\x01\x00\x0a",
             "sasl": b"AMQP\x03\x01\x00\x00", "tls": b"AMQP\x02\x01\x00\x00",
             "noise": b"HELLOWOR"})
def test_CON_01_wrong_header_answered_then_eof(env, header):
    """asked RabbitMQ 3.10.8: it still takes the 0-8 header, which is therefore not in the table."""
    wire = env.wire()
    wire.send(header)
    eq(wire.read_until_eof(), HEADER)


@case()
def test_CON_01_header_0_9_is_taken_as_0_9_1(env):
    wire = env.wire()
    wire.send(b"AMQP\x01\x01\x00\x09")
    start = wire.recv_method()
    eq((start.name, start.version_major, start.version_minor), ("connection.start", 0, 9))


@case(table={"http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "(?i)http"),
             "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
                     "(?i)tls")})
def test_CON_02_foreign_protocol_is_logged(env, arg):
    """3.10 logs a generic bad_header; the distinct line (4.x) is demanded of Warren only."""
    sent, pattern = arg
    seen = len(env.node.log_text())
    wire = env.wire()
    wire.send(sent)
    wire.read_until_eof()
    want = "bad_header" if env.oracle else pattern
    until(lambda: re.search(want, env.node.log_text()[seen:]), f"log line matching {want}")


# -- CON-03..05: connection.start ----------------------------------------------------------------

@case()
def test_CON_03_connection_start(env):
    start = env.wire().start()
    eq((start.version_major, start.version_minor, start.locales), (0, 9, b"en_US"))
    missing = {"capabilities", "cluster_name", "copyright", "information", "platform", "product",
               "version"} - set(start.server_properties)
    eq(missing, set(), "missing server properties")


@case()
def test_CON_04_capabilities(env):
    caps = env.wire().start().server_properties["capabilities"]
    want = ["publisher_confirms", "exchange_exchange_bindings", "basic.nack",
            "consumer_cancel_notify", "connection.blocked", "consumer_priorities",
            "authentication_failure_close", "per_consumer_qos", "direct_reply_to"]
    eq({name: caps.get(name) for name in want}, dict.fromkeys(want, True))


@case()
def test_CON_05_mechanisms_offered(env):
    offered = env.wire().start().mechanisms.decode().split(" ")
    eq({"PLAIN", "AMQPLAIN"} - set(offered), set())


@case()
def test_CON_05_amqplain(env):
    response = encode_table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]
    env.conn(mechanism="AMQPLAIN", response=response).channel().sync()


@case(table={"plain-garbage": ("PLAIN", b"garbage"), "plain-empty": ("PLAIN", b""),
             "plain-one-part": ("PLAIN", b"\0guest"),
             "amqplain-garbage": ("AMQPLAIN", b"\x05LOGIN"),
             "amqplain-no-password": ("AMQPLAIN", encode_table({"LOGIN": "guest"})[4:])})
def test_CON_05_malformed_response_drops_tcp(env, arg):
    conn = env.wire()
    conn.start()
    conn.start_ok(mechanism=arg[0], response=arg[1])
    data = conn.read_until_eof()
    assert not data or data[0] == METHOD, data
    env.ch().sync()


@case()
def test_CON_06_unknown_mechanism_waits_then_drops(env):
    conn = env.wire()
    conn.start()
    begin = time.monotonic()
    conn.start_ok(mechanism="FOO", response=b"x")
    eq(conn.read_until_eof(), b"", "bytes before EOF")
    waited = time.monotonic() - begin
    assert 2.5 < waited < 6, waited


# -- CON-07..09: login and tune ------------------------------------------------------------------

@case(table={"wrong-password": ("guest", "wrong"), "no-such-user": ("nobody", "x"),
             "empty-password": ("guest", "")})
def test_CON_07_bad_credentials_with_capability(env, who):
    """asked RabbitMQ 3.10.8: the ids in the close frame are 0,0, not those of start-ok."""
    with closes_connection(403, "ACCESS_REFUSED - Login was refused", (0, 0)):
        env.conn(user=who[0], password=who[1])


@case()
def test_CON_07_bad_credentials_without_capability(env):
    conn = env.wire()
    conn.start()
    begin = time.monotonic()
    conn.start_ok("guest", "wrong", capabilities={})
    eq(conn.read_until_eof(), b"", "bytes before EOF")
    assert time.monotonic() - begin > 2.5, "closed without the delay"


@case()
def test_CON_09_tune_defaults(env):
    conn = env.wire()
    conn.start()
    conn.start_ok()
    tune = conn.expect(0, "connection.tune")
    eq((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131072, 60))


@case(table={"frame_max-above": dict(frame_max=999999), "frame_max-0": dict(frame_max=0),
             "frame_max-below-minimum": dict(frame_max=4095),
             "channel_max-above": dict(channel_max=2048), "channel_max-0": dict(channel_max=0)})
def test_CON_10_tune_ok_out_of_range(env, args):
    """asked RabbitMQ 3.10.8: no close frame, TCP is dropped after 3 s; a 530 is welcome too."""
    seen, conn = len(env.node.log_text()), env.wire()
    conn.start()
    conn.start_ok()
    conn.expect(0, "connection.tune")
    conn.tune_ok(**args)
    conn.send_method(0, "connection.open", virtual_host="/")
    try:
        conn.expect(0, "connection.open-ok")
    except ConnectionClosed as error:
        eq(error.code, 530)
    except Eof:
        pass
    else:
        raise AssertionError("accepted")
    until(lambda: "negotiated" in env.node.log_text()[seen:].lower(), "a log line saying why")


@case(table={"frame_max-4096": dict(frame_max=4096), "channel_max-1": dict(channel_max=1),
             "heartbeat-above": dict(heartbeat=600), "heartbeat-0": dict(heartbeat=0)})
def test_CON_10_tune_ok_accepted(env, args):
    env.conn(**args).channel().sync()


@case()
def test_CON_11_first_frames_are_limited(env):
    """asked RabbitMQ 3.10.8: a 9 kB start-ok ends the connection without a close frame."""
    conn = env.wire()
    conn.start()
    conn.start_ok(properties={"padding": "x" * 9000})
    eq(conn.read_until_eof(), b"")


@case()
def test_CON_11_start_ok_just_below_the_limit(env):
    env.conn(properties={"padding": "x" * 3500}).channel().sync()


# -- CON-12..14: time ----------------------------------------------------------------------------

@case(node="short", table={"silent": 0, "after-header": 1, "after-start-ok": 2, "after-tune-ok": 3})
def test_CON_12_handshake_timeout(env, steps):
    conn, begin = env.wire(), time.monotonic()
    if steps > 0:
        conn.start()
    if steps > 1:
        conn.start_ok()
        conn.expect(0, "connection.tune")
    if steps > 2:
        conn.tune_ok(channel_max=20)
    eq(conn.read_until_eof(), b"", "bytes before EOF")
    waited = time.monotonic() - begin
    assert 1.2 < waited < 5, f"closed after {waited:.1f} s with handshake_timeout 1.5 s"


@case()
def test_CON_13_server_sends_heartbeats(env):
    conn = env.conn(heartbeat=1)
    for _ in range(4):  # how often is for a quiet machine to measure; that they go on is not
        eq(tuple(conn.recv_frame(20)), (HEARTBEAT, 0, b""))
        conn.send_frame(HEARTBEAT, 0, b"")


@case()
def test_CON_14_silent_client_is_dropped_without_close_frame(env):
    seen, conn, begin = len(env.node.log_text()), env.conn(heartbeat=1), time.monotonic()
    data = conn.read_until_eof()
    waited = time.monotonic() - begin
    eq(data.replace(b"\x08\x00\x00\x00\x00\x00\x00\xce", b""), b"", "bytes but heartbeats")
    assert waited > 1.5, f"dropped after {waited:.1f} s"
    until(lambda: re.search("missed heartbeats from (the )?client, timeout: 1s", env.node.log_text()[seen:]), "log line")


@case()
def test_CON_14_any_traffic_counts(env):
    ch = env.ch(heartbeat=1)
    deadline = time.monotonic() + 3.5
    while time.monotonic() < deadline:
        ch.sync()
        time.sleep(0.4)  # pacing is the subject here, not synchronisation
    ch.close()


# -- CON-15, 16, 18: open and limits -------------------------------------------------------------

@case()
def test_CON_15_unknown_vhost(env):
    with closes_connection(530, "NOT_ALLOWED - vhost nope not found", (10, 40)):
        env.conn(vhost="nope")


@case()
def test_CON_15_no_permission_on_vhost(env):
    user = env.user(configure=None)
    with closes_connection(530, f"NOT_ALLOWED - access to vhost '/' refused for user '{user}'",
                           (10, 40)):
        env.conn(user=user, password="pw")


@case()
def test_CON_15_reserved_fields_are_ignored(env):
    conn = env.wire()
    conn.start()
    conn.start_ok()
    conn.expect(0, "connection.tune")
    conn.tune_ok()
    conn.send_method(0, "connection.open", virtual_host="/", reserved_1="x", reserved_2=True)
    conn.expect(0, "connection.open-ok")


@case(node="conns", oracle=False,
      reason="connection_max of 3.10 slows the acceptor down, it refuses nobody")
def test_CON_16_node_connection_limit(env):
    for _ in range(3):
        env.conn()
    with closes_connection(530, "NOT_ALLOWED - .*limit.*3", (10, 40)):
        env.conn()


@case()
def test_CON_16_vhost_connection_limit(env):
    v = env.vhost()
    env.ctl("set_vhost_limits", "-p", v, '{"max-connections": 2}')
    one, _two = env.conn(vhost=v), env.conn(vhost=v)
    with closes_connection(530, f"NOT_ALLOWED - .*'{v}'.*limit.*2", (10, 40)):
        env.conn(vhost=v)
    one.close()

    def opens():
        try:
            return env.conn(vhost=v)
        except ConnectionClosed:
            return None
    until(opens, "a place to come free")


@case(table={"0-refuses-all": 0, "negative-is-none": -1})
def test_CON_16_vhost_connection_limit_edge(env, limit):
    v = env.vhost()
    env.ctl("set_vhost_limits", "-p", v, f'{{"max-connections": {limit}}}')
    if limit < 0:
        env.conn(vhost=v)
        return
    with closes_connection(530, "NOT_ALLOWED - ", (10, 40)):
        env.conn(vhost=v)


@case()
def test_CON_16_user_connection_limit(env):
    u = env.user()
    env.ctl("set_user_limits", u, '{"max-connections": 1}')
    env.conn(user=u, password="pw")
    with closes_connection(530, f"NOT_ALLOWED - .*'{u}'.*limit.*1"):
        env.conn(user=u, password="pw")


@case()
def test_CON_17_channel_open_twice(env):
    ch = env.ch()
    with closes_connection(504, "CHANNEL_ERROR - ", (20, 10)):
        ch.call("channel.open")


@case(table={"declare": ("queue.declare", (50, 10)), "qos": ("basic.qos", (60, 10)),
             "ack": ("basic.ack", (60, 80))})
def test_CON_17_method_on_channel_never_opened(env, arg):
    conn = env.conn()
    ch = conn.channel(7, open_it=False)
    ch.send(arg[0])
    with closes_connection(504, "CHANNEL_ERROR - ", arg[1]):
        ch.dies()


@case()
def test_CON_18_more_channels_than_negotiated(env):
    """asked RabbitMQ 3.10.8: it counts open channels, the number itself may be above the max."""
    conn = env.conn(channel_max=5)
    for n in range(1, 6):
        conn.channel(n)
    with closes_connection(530, r"NOT_ALLOWED - .*5", (0, 0)):
        conn.channel(6)


@case(node="short")
def test_CON_18_channel_max_setting(env):
    conn = env.conn()
    eq(conn.tune.channel_max, 20)
    for n in range(1, 21):
        conn.channel(n)
    conn.channels[20].close()
    conn.channel(20)
    with closes_connection(530, "NOT_ALLOWED - .*20", (0, 0)):
        conn.channel(21)


# -- CON-19..22, 25: wrong frames ----------------------------------------------------------------

@case(table={"end-octet": (METHOD, b"\x00\x14\x00\x0a\x00", b"\xcd"),
             "unknown-type": (9, b"", b"\xce"), "type-0": (0, b"x", b"\xce"),
             "too-large": (METHOD, b"\x00" * 4097, b"\xce")})
def test_CON_19_frame_errors(env, arg):
    conn = env.conn(frame_max=4096)
    conn.channel(1)
    conn.send_frame(arg[0], 1, arg[1], end=arg[2])
    with closes_connection(501, "FRAME_ERROR - "):
        conn.dies()
    conn.read_until_eof(6)


@case()
def test_CON_19_eight_bytes_of_slack(env):
    ch = env.ch(frame_max=4096)
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, b"x" * 4096, chunk=4096)
    ch.sync()
    eq(len(ch.get(q, no_ack=True).body), 4096)


def _frames(*items):
    return b"".join(amqp_wire.frame(*item) for item in items)


PUBLISH = (METHOD, 1, method_payload("basic.publish", routing_key="nowhere"))


@case(table={
    "header-on-channel-0": ((CONTENT_HEADER, 0, header_payload(1)),),
    "body-on-channel-0": ((BODY, 0, b"x"),),
    "heartbeat-on-channel-1": ((HEARTBEAT, 1, b""),),
    "header-unexpected": ((CONTENT_HEADER, 1, header_payload(1)),),
    "body-unexpected": ((BODY, 1, b"x"),),
    "body-before-header": (PUBLISH, (BODY, 1, b"x")),
    "method-before-header": (PUBLISH, PUBLISH),
    "method-before-body": (PUBLISH, (CONTENT_HEADER, 1, header_payload(5)), PUBLISH),
    "header-of-other-class": (PUBLISH, (CONTENT_HEADER, 1, header_payload(1, class_id=50))),
})
def test_CON_20_unexpected_frames(env, frames):
    conn = env.conn()
    conn.channel(1)
    conn.send(_frames(*frames))
    with closes_connection(505, "UNEXPECTED_FRAME - "):
        conn.dies()


@case(oracle=False, reason="3.10.8 was asked: it keeps waiting and never completes the message")
def test_CON_21_body_longer_than_announced(env):
    conn = env.conn()
    conn.channel(1)
    conn.send(_frames(PUBLISH, (CONTENT_HEADER, 1, header_payload(10)), (BODY, 1, b"x" * 20)))
    with closes_connection(501, "FRAME_ERROR - "):
        conn.dies()


@case(oracle=False, reason="3.10.8 was asked: it believes any announced size")
def test_CON_21_header_announces_too_much(env):
    conn = env.conn()
    conn.channel(1)
    conn.send(_frames(PUBLISH, (CONTENT_HEADER, 1, header_payload(1 << 40))))
    with closes_connection(501, "FRAME_ERROR - "):
        conn.dies()


@case(table={"class-999": struct.pack(">HH", 999, 10), "method-60.999": struct.pack(">HH", 60, 999)})
def test_CON_22_unknown_method(env, payload):
    """asked RabbitMQ 3.10.8: its reader crashes and TCP goes; ours says 503 (or 540)."""
    conn = env.conn()
    conn.channel(1)
    conn.send_frame(METHOD, 1, payload)
    try:
        conn.dies()
    except Eof:
        assert env.oracle, "TCP dropped without a close frame"
    except ConnectionClosed as error:
        assert error.code in (503, 540), error


@case(table={"empty": b"", "short": b"\x00\x3c\x00"})
def test_CON_22_frame_too_short_for_a_method(env, payload):
    """asked RabbitMQ 3.10.8: 501, unknown frame."""
    conn = env.conn()
    conn.channel(1)
    conn.send_frame(METHOD, 1, payload)
    with closes_connection(501, "FRAME_ERROR - ", (0, 0)):
        conn.dies()


@case(table={"open-again": ("connection.open", dict(virtual_host="/")),
             "tune-ok-again": ("connection.tune-ok", {}), "start-ok-again": ("connection.start-ok", {})})
def test_CON_22_handshake_method_in_running_state(env, arg):
    conn = env.conn()
    conn.send_method(0, arg[0], **arg[1])
    with closes_connection(504, "CHANNEL_ERROR - "):
        conn.dies()


@case()
def test_CON_22_channel_method_on_channel_0(env):
    conn = env.conn()
    conn.send_method(0, "queue.declare", queue="x")
    with closes_connection(504, "CHANNEL_ERROR - "):
        conn.dies()


@case(table={
    "longstr-cut": struct.pack(">HHH", 50, 10, 0) + shortstr("q") + b"\0" +
                   struct.pack(">I", 500) + b"\x01aS",
    "shortstr-cut": struct.pack(">HHH", 50, 10, 0) + b"\xff" + b"q",
})
def test_CON_25_undecodable_method(env, payload):
    """asked RabbitMQ 3.10.8: 501 `FRAME_ERROR - cannot decode`, not 502, with the method's ids."""
    conn = env.conn()
    conn.channel(1)
    conn.send_frame(METHOD, 1, payload)
    with closes_connection(501, "FRAME_ERROR - cannot decode", (50, 10)):
        conn.dies()


@case()
def test_CON_25_unknown_tag_in_method_table(env):
    """asked RabbitMQ 3.10.8: its reader crashes and TCP goes; ours says 501 or 502."""
    conn = env.conn()
    conn.channel(1)
    conn.send_frame(METHOD, 1, struct.pack(">HHH", 50, 10, 0) + shortstr("q") + b"\0" +
                    longstr(shortstr("k") + b"Z\0"))
    try:
        conn.dies()
    except Eof:
        assert env.oracle, "TCP dropped without a close frame"
    except ConnectionClosed as error:
        assert error.code in (501, 502), error


@case(table={f"seed-{n}": n for n in range(4)})
def test_CON_25_mutated_frames_hurt_nobody_else(env, seed):
    """Frames with flipped, cut and repeated bytes: each connection ends or lives, the node stays.

    The seed is in the test's name.
    """
    rng = random.Random(seed)
    good = [method_payload("queue.declare", queue="fuzz", exclusive=True, arguments={
                "x-max-length": 5, "t": {"a": [1, "x", None]}}),
            method_payload("basic.publish", routing_key="fuzz"),
            method_payload("basic.consume", queue="fuzz", arguments={"x-priority": 1}),
            method_payload("exchange.declare", exchange="fuzz-x", type="topic", auto_delete=True),
            method_payload("queue.bind", queue="fuzz", exchange="amq.headers",
                           arguments={"x-match": "any", "k": 1.5}),
            method_payload("basic.qos", prefetch_count=3), method_payload("tx.select"),
            header_payload(4, {"headers": {"a": {"b": [True, 7]}}, "expiration": "5"}), b"body"]
    witness = env.ch()
    for _ in range(25):
        conn = env.conn()
        conn.channel(1)
        data = b""
        for _ in range(rng.randrange(1, 5)):
            payload = bytearray(rng.choice(good))
            for _ in range(rng.randrange(0, 4)):
                payload[rng.randrange(len(payload))] = rng.randrange(256)
            if rng.random() < 0.3:
                payload = payload[:rng.randrange(len(payload))]
            data += amqp_wire.frame(rng.choice((METHOD, METHOD, CONTENT_HEADER, BODY)),
                                    rng.choice((1, 1, 1, 0, 2)), bytes(payload))
        conn.send(data)
        try:
            conn.pump(0.05)
        except (WireError, KeyError, AttributeError):
            pass
        conn.shut()
    witness.sync()
    env.ch().sync()


# -- CON-23, 24: tables and content --------------------------------------------------------------

ALL_TAGS = [("S", Typed("S", "text")), ("empty", Typed("S", "")), ("I", Typed("I", -5)),
            ("i", Typed("i", 4000000000)), ("D", Typed("D", (2, 314))), ("T", Typed("T", 1700000000)),
            ("F", Typed("F", {"in": Typed("t", True), "deep": Typed("F", {"x": Typed("b", -1)})})),
            ("A", Typed("A", [Typed("I", 1), Typed("S", "x"), Typed("A", [])])),
            ("b", Typed("b", -7)), ("B", Typed("B", 200)), ("s", Typed("s", -300)),
            ("u", Typed("u", 60000)), ("l", Typed("l", -2**60)), ("f", Typed("f", 1.5)),
            ("d", Typed("d", 2.25)), ("t", Typed("t", False)), ("x", Typed("x", b"\x00\xff\xce")),
            ("V", Typed("V", None))]


@case()
def test_CON_23_all_field_types_pass_byte_exact(env):
    ch, raw = env.ch(), encode_table(ALL_TAGS)
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props={"headers": raw})
    got = ch.get(q, no_ack=True)
    eq(got.headers_raw, raw)
    eq(list(decode_table(got.headers_raw, typed=True).items()), ALL_TAGS)


@case()
def test_CON_23_duplicate_and_odd_keys_pass_byte_exact(env):
    raw = encode_table([("k", Typed("I", 1)), ("k", Typed("I", 2)), ("", Typed("S", "v")),
                        ("ключ", Typed("S", "значение")), ("bad", Typed("S", b"\xff\xfe"))])
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props={"headers": raw})
    eq(ch.get(q, no_ack=True).headers_raw, raw)


@case()
def test_CON_23_tag_L_is_read_as_int64(env):
    ch = env.ch()
    ch.declare(exclusive=True, arguments={"x-message-ttl": Typed("L", 60000)})


@case(table={"unknown-tag": longstr(shortstr("k") + b"Z\0"),
             "length-too-long": longstr(shortstr("k") + b"S" + struct.pack(">I", 99) + b"x")})
def test_CON_23_bad_header_table_is_refused(env, raw):
    """asked RabbitMQ 3.10.8: the channel process crashes, 541; ours says 501 or 502."""
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props={"headers": raw})
    error = ch.conn.wait_close()
    assert error.code in ((541,) if env.oracle else (501, 502)), error


@case(table={"0": 0, "1": 1, "frame_max-8": 4088, "frame_max-7": 4089, "2x": 8176, "1MiB": 1 << 20})
def test_CON_24_body_sizes_and_frames(env, size):
    ch = env.ch(frame_max=4096)
    q = ch.declare(exclusive=True).queue
    body = os.urandom(size)
    ch.publish("", q, body)
    got = ch.get(q, no_ack=True)
    eq(hashlib.sha1(got.body).hexdigest(), hashlib.sha1(body).hexdigest())
    want = [4088] * (size // 4088) + ([size % 4088] if size % 4088 else [])
    eq(got.body_frames, want, "body frames")


@case()
def test_CON_24_all_properties(env):
    props = {"content_type": "a/b", "content_encoding": "gzip", "headers": {"h": 1},
             "delivery_mode": 2, "priority": 9, "correlation_id": "c", "reply_to": "r",
             "expiration": "60000", "message_id": "m", "timestamp": 1700000000, "type": "t",
             "user_id": "guest", "app_id": "a", "cluster_id": "cl"}
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props=props)
    eq(ch.get(q, no_ack=True).props, props)


@case()
def test_CON_24_body_in_odd_pieces_and_empty_frames(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    n = ch.number
    ch.conn.send(_frames((METHOD, n, method_payload("basic.publish", routing_key=q)),
                         (CONTENT_HEADER, n, header_payload(5)), (BODY, n, b"ab"), (BODY, n, b""),
                         (BODY, n, b"cde")))
    eq(ch.get(q, no_ack=True).body, b"abcde")


@case()
def test_CON_24_interleaved_channels(env):
    conn = env.conn()
    a, b = conn.channel(1), conn.channel(2)
    qa, qb = a.declare(exclusive=True).queue, a.declare(exclusive=True).queue
    pub = {n: method_payload("basic.publish", routing_key=q) for n, q in ((1, qa), (2, qb))}
    conn.send(_frames((METHOD, 1, pub[1]), (METHOD, 2, pub[2]), (CONTENT_HEADER, 2, header_payload(2)),
                      (CONTENT_HEADER, 1, header_payload(4)), (BODY, 1, b"aa"), (BODY, 2, b"bb"),
                      (BODY, 1, b"aa")))
    a.sync()
    b.sync()
    eq((a.get(qa, no_ack=True).body, a.get(qb, no_ack=True).body), (b"aaaa", b"bb"))


# -- CON-26: reply texts -------------------------------------------------------------------------

def _e404(ch, n):
    ch.declare(n, passive=True)


def _e403(ch, n):
    ch.declare("amq." + n)


def _e405(ch, n):
    ch.declare(n, exclusive=True)
    ch.conn_other.channel().declare(n, passive=True)


def _e406(ch, n):
    ch.ack(99)
    ch.dies()


def _e501(ch, n):
    ch.conn.send_frame(77, 1, b"")
    ch.dies()


def _e504(ch, n):
    ch.call("channel.open")


def _e505(ch, n):
    ch.conn.send_frame(BODY, 1, b"x")
    ch.dies()


def _e530(ch, n):
    q = ch.declare(exclusive=True).queue
    ch.consume(q, "t")
    ch.consume(q, "t")


def _e540(ch, n):
    ch.qos(1, size=1)


@case(table={"404": (closes_channel, 404, "NOT_FOUND", (50, 10), _e404),
             "403": (closes_channel, 403, "ACCESS_REFUSED", (50, 10), _e403),
             "405": (closes_channel, 405, "RESOURCE_LOCKED", (50, 10), _e405),
             "406": (closes_channel, 406, "PRECONDITION_FAILED", (60, 80), _e406),
             "501": (closes_connection, 501, "FRAME_ERROR", (0, 0), _e501),
             "504": (closes_connection, 504, "CHANNEL_ERROR", (20, 10), _e504),
             "505": (closes_connection, 505, "UNEXPECTED_FRAME", (0, 0), _e505),
             "530": (closes_connection, 530, "NOT_ALLOWED", (60, 20), _e530),
             "540": (closes_connection, 540, "NOT_IMPLEMENTED", (60, 10), _e540)})
def test_CON_26_reply_text_form(env, arg):
    kind, code, name, ids, make = arg
    ch = env.ch()
    ch.conn_other = env.conn()
    with kind(code, name + " - ", ids):
        make(ch, env.name())


@case()
def test_CON_26_reply_text_at_most_255_bytes(env):
    with closes_channel(404, "NOT_FOUND - ", (50, 10)):
        env.ch().declare("n" * 255, passive=True)


# -- CON-29, 31, 33, 34: life of a connection ----------------------------------------------------

def _row_of(env, conn, *columns):
    here, there = conn.sock.getsockname(), conn.sock.getpeername()
    name = f"{here[0]}:{here[1]} -> {there[0]}:{there[1]}"
    for row in env.rows("list_connections", "name", *columns):
        if row["name"] == name:
            return row
    raise AssertionError("list_connections does not show " + name)


@case()
def test_CON_29_close_connection(env):
    conn = env.conn()
    here, there = conn.sock.getsockname(), conn.sock.getpeername()
    name = f"{here[0]}:{here[1]} -> {there[0]}:{there[1]}"
    pid = next(r["pid"] for r in env.table("list_connections", "name", "pid") if r["name"] == name)
    env.ctl("close_connection", pid, "go away please")
    with closes_connection(320, "CONNECTION_FORCED - go away please", (0, 0)):
        conn.dies()


@case()
def test_CON_29_close_all_connections_of_vhost(env):
    v = env.vhost()
    conns, other = [env.conn(vhost=v) for _ in range(3)], env.ch()
    env.ctl("close_all_connections", "-p", v, "maintenance")
    for conn in conns:
        with closes_connection(320, "CONNECTION_FORCED - maintenance", (0, 0)):
            conn.dies()
    other.sync()


@case(node="own")
def test_CON_30_node_stop_sends_320(env):
    node = env.suite.nodes.make("stop").start()
    conn = env.conn(port=node.port)
    node.ctl("stop_app")
    with closes_connection(320, "CONNECTION_FORCED - broker forced connection closure", (0, 0)):
        conn.dies()
    node.ctl("start_app")
    env.conn(port=node.port).channel().sync()
    conn = env.conn(port=node.port)
    node.ctl("stop")
    with closes_connection(320, "CONNECTION_FORCED - ", (0, 0)):
        conn.dies()
    until(lambda: node.process.poll() is not None, "process to end", 20)


@case()
def test_CON_31_update_secret(env):
    conn = env.conn()
    conn.send_method(0, "connection.update-secret", new_secret=b"whatever", reason="rotation")
    conn.expect(0, "connection.update-secret-ok")
    conn.channel().sync()


@case(oracle=False, reason="3.10 does not re-check permissions at update-secret (4.x does)")
def test_CON_31_consumer_that_lost_read_is_cancelled(env):
    u = env.user()
    ch = env.ch(user=u, password="pw")
    q = ch.declare(exclusive=True).queue
    tag = ch.consume(q)
    env.allow(u, read="^$")
    ch.conn.send_method(0, "connection.update-secret", new_secret=b"pw", reason="rotation")
    ch.conn.expect(0, "connection.update-secret-ok")
    eq(ch.wait("basic.cancel").consumer_tag, tag)


@case()
def test_CON_33_connection_name(env):
    """asked RabbitMQ 3.10.8: list_connections has no column user_provided_name yet."""
    name = env.name("my client")
    conn = env.conn(properties={"connection_name": name})
    has(str(_row_of(env, conn, "client_properties")["client_properties"]), name)
    until(lambda: name in env.node.log_text(), "the name in the log")


@case()
def test_CON_28_state_running_and_columns(env):
    conn = env.conn()
    here, there = conn.sock.getsockname(), conn.sock.getpeername()
    columns = {"name": f"{here[0]}:{here[1]} -> {there[0]}:{there[1]}", "state": "running",
               "user": "guest", "vhost": "/", "protocol": "{0,9,1}", "channels": "0",
               "frame_max": "131072", "channel_max": "2047", "peer_host": here[0],
               "peer_port": str(here[1]), "port": str(there[1]), "timeout": "0",
               "auth_mechanism": "PLAIN", "ssl": "false"}
    rows = env.table("list_connections", *columns)
    eq([r for r in rows if r["name"] == columns["name"]], [columns])


@case()
def test_CON_34_client_never_answers_close_ok(env):
    """Input after the server's close is ignored; exclusive queues go; TCP drops within the wait."""
    ch, q, other = env.ch(heartbeat=2), env.name(), env.ch()
    ch.declare(q, exclusive=True)
    ch.send("channel.open")
    while (m := ch.conn.recv_method()).name != "connection.close":
        pass
    eq(m.reply_code, 504)
    ignored = env.name("ignored")
    ch.conn.send_method(ch.number, "queue.declare", queue=ignored)

    def gone(name):
        try:
            other.declare(name, passive=True)
            return False
        except ChannelClosed as error:
            other.__init__(other.conn, other.number)
            other.call("channel.open")
            return error.code == 404
    until(lambda: gone(q), "exclusive queue to go")
    ch.conn.read_until_eof(8)
    assert gone(ignored), "a method after connection.close was executed"
