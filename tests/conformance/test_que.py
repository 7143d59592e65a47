"""QUE: queues (features.md 1.4), on one node."""

import time

from amqp_wire import Typed
from harness import (ChannelClosed, bodies, case, closes_channel, closes_connection, count, drain,
                     eq, has, match, until, until_count)

QQ = {"x-queue-type": "quorum"}


def _unrouted(ch, q):
    """True when a publish to the queue is returned; unlike a declare it renews no lease."""
    ch.publish("", q, mandatory=True)
    ch.sync()
    returned = [m for m in ch.inbox if m.name == "basic.return"]
    ch.inbox.clear()
    return bool(returned)


def _gone(env, q, vhost="/"):
    """True when a passive declare on a connection of its own answers 404."""
    conn = env.conn(vhost=vhost)
    try:
        conn.channel().declare(q, passive=True)
        return False
    except ChannelClosed as error:
        return error.code == 404
    finally:
        conn.shut()


# -- QUE-01..04: declaring -----------------------------------------------------------------------

@case(table={"classic": {}, "quorum": QQ})
def test_QUE_01_declare_ok_counts(env, args):
    ch, q = env.ch(), env.name()
    ok = ch.declare(q, durable=True, arguments=args)
    eq((ok.queue, ok.message_count, ok.consumer_count), (q, 0, 0))
    for _ in range(3):
        ch.publish("", q)
    until_count(ch, q, 3)
    assert ch.get(q)
    until_count(ch, q, 2)
    ch.qos(1)
    ch.consume(q)
    ch.delivery()
    ok = ch.declare(q, passive=True)
    eq(ok.message_count, 1, "unacked are not counted")
    # asked RabbitMQ 3.10.8: a quorum queue counts the unacked basic.get as a consumer
    assert ok.consumer_count in ((1, 2) if args else (1,)), ok.consumer_count
    ch.delete(q)


@case()
def test_QUE_01_declare_nowait(env):
    ch, q = env.ch(), env.name()
    ch.send("queue.declare", queue=q, nowait=True, exclusive=True)
    eq(ch.declare(q, passive=True).queue, q)


@case()
def test_QUE_02_server_named(env):
    ch = env.ch()
    names = {ch.declare(exclusive=True).queue for _ in range(20)}
    eq(len(names), 20)
    for name in names:
        match(name, r"^amq\.gen-[A-Za-z0-9_-]{22}$")


@case()
def test_QUE_02_empty_name_means_the_last_declared(env):
    ch = env.ch()
    ch.declare(exclusive=True)
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, "1")
    ch.publish("", q, "2")
    ch.sync()
    eq(ch.get("", no_ack=True).body, b"1")
    eq(ch.purge(""), 1)
    tag = ch.consume("")
    ch.publish("", q, "3")
    eq(ch.delivery().body, b"3")
    ch.cancel(tag)
    ch.delete("")
    assert _gone(env, q)


@case(table={"bind": lambda ch: ch.bind("", "amq.direct", "k"), "get": lambda ch: ch.get(""),
             "consume": lambda ch: ch.consume(""), "purge": lambda ch: ch.purge(""),
             "delete": lambda ch: ch.delete("")})
def test_QUE_02_no_last_queue(env, action):
    with closes_channel(404, "NOT_FOUND - no previously declared queue"):
        action(env.ch())


@case()
def test_QUE_02_quorum_with_empty_name(env):
    with closes_channel(406, "PRECONDITION_FAILED - .*server-named queue", (50, 10)):
        env.ch().declare("", durable=True, arguments=QQ)


@case()
def test_QUE_02_passive_with_empty_name(env):
    """asked RabbitMQ 3.10.8: a passive declare of "" is not the last queue but 404, no queue ''."""
    ch = env.ch()
    ch.declare(exclusive=True)
    with closes_channel(404, "NOT_FOUND - no queue '' in vhost '/'", (50, 10)):
        ch.declare("", passive=True)


@case()
def test_QUE_03_reserved_names(env):
    with closes_channel(403, "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq\\.\\*'",
                        (50, 10)):
        env.ch().declare("amq.x")


@case()
def test_QUE_03_redeclaring_an_existing_reserved_name(env):
    """asked RabbitMQ 3.10.8: 403 even for one's own amq.gen queue; only passive works."""
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    eq(ch.declare(q, passive=True).queue, q)
    with closes_channel(403, "ACCESS_REFUSED - ", (50, 10)):
        ch.declare(q, exclusive=True)


@case()
def test_QUE_03_names(env):
    """CR and LF are removed, 255 bytes are allowed, and so is any UTF-8."""
    ch, q = env.ch(), env.name()
    eq(ch.declare(q[:2] + "\r\n" + q[2:], exclusive=True).queue, q)
    for name in (q + "n" * (255 - len(q)), q + " очередь 队列", q + "/:?#[]@!$&'()*+,;= %"):
        eq(ch.declare(name, exclusive=True).queue, name)
        ch.publish("", name)
        ch.sync()
        eq(count(ch, name), 1)


@case()
def test_QUE_04_passive_missing(env):
    q = env.name()
    with closes_channel(404, f"NOT_FOUND - no queue '{q}' in vhost '/'$", (50, 10)):
        env.ch().declare(q, passive=True)


@case()
def test_QUE_04_passive_needs_no_permission_and_ignores_flags(env):
    """3.10 column: no permission check for a passive declare."""
    admin, q = env.ch(), env.name()
    admin.declare(q, durable=True)
    ch = env.ch(user=env.user("^$", "^$", "^$"), password="pw")
    eq(ch.declare(q, passive=True, auto_delete=True, arguments={"x-max-length": 3}).queue, q)
    admin.delete(q)


# -- QUE-05..07: exclusive, auto-delete, transient -----------------------------------------------

@case(table={"passive": (lambda ch, q: ch.declare(q, passive=True), (50, 10)),
             "declare": (lambda ch, q: ch.declare(q), (50, 10)),
             "declare-exclusive": (lambda ch, q: ch.declare(q, exclusive=True), (50, 10)),
             "bind": (lambda ch, q: ch.bind(q, "amq.direct", "k"), (50, 20)),
             "purge": (lambda ch, q: ch.purge(q), (50, 30)),
             "delete": (lambda ch, q: ch.delete(q), (50, 40)),
             "consume": (lambda ch, q: ch.consume(q), (60, 20)),
             "get": (lambda ch, q: ch.get(q), (60, 70))})
def test_QUE_05_used_from_another_connection(env, arg):
    owner = env.ch()
    q = owner.declare(env.name(), exclusive=True).queue
    with closes_channel(405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue "
                        f"'{q}' in vhost '/'", arg[1]):
        arg[0](env.ch(), q)
    owner.declare(q, exclusive=True)


@case()
def test_QUE_05_other_connections_may_publish(env):
    owner = env.ch()
    q = owner.declare(exclusive=True).queue
    other = env.ch()
    other.publish("", q)
    until_count(owner, q, 1)


@case()
def test_QUE_05_usable_on_another_channel_of_the_owner(env):
    conn = env.conn()
    a, b = conn.channel(), conn.channel()
    q = a.declare(env.name(), exclusive=True).queue
    b.declare(q, exclusive=True)
    a.close()
    eq(b.declare(q, passive=True).queue, q)


@case(table={"close": lambda conn: conn.close(), "cut": lambda conn: conn.shut()})
def test_QUE_05_deleted_with_its_connection(env, end):
    conn = env.conn()
    q = conn.channel().declare(env.name(), exclusive=True, durable=True).queue
    end(conn)
    until(lambda: _gone(env, q), "exclusive queue to go")


@case()
def test_QUE_05_gone_before_close_ok(env):
    """After close-ok the name is free at once: a reconnecting client may declare it again."""
    for _ in range(5):
        conn = env.conn()
        q = conn.channel().declare("again-" + str(env.node.port), exclusive=True).queue
        conn.close()
    assert _gone(env, q)


@case(table={"to-plain": (True, False), "to-exclusive": (False, True)})
def test_QUE_05_redeclare_with_other_exclusive_bit(env, arg):
    """asked RabbitMQ 3.10.8: both ways are 405 for the owning connection too."""
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=arg[0], auto_delete=True)
    with closes_channel(405, "RESOURCE_LOCKED - ", (50, 10)):
        ch.declare(q, exclusive=arg[1], auto_delete=True)
    env.undo(lambda: env.ch().delete(q))


@case(table={"cancel": lambda ch, tag: ch.cancel(tag), "channel-close": lambda ch, tag: ch.close(),
             "connection-close": lambda ch, tag: ch.conn.close(),
             "connection-cut": lambda ch, tag: ch.conn.shut()})
def test_QUE_06_auto_delete(env, end):
    ch, q = env.ch(), env.name()
    ch.declare(q, auto_delete=True)
    other = env.ch()
    tag2 = other.consume(q)
    tag = ch.consume(q)
    other.cancel(tag2)
    eq(other.declare(q, passive=True).consumer_count, 1, "one consumer is left")
    end(ch, tag)
    until(lambda: _gone(env, q), "auto-delete queue to go")


@case()
def test_QUE_06_never_without_a_consumer(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, auto_delete=True)
    ch.publish("", q)
    until(lambda: ch.get(q, no_ack=True), "message")
    ch.close()
    assert not _gone(env, q)
    env.ch().delete(q)


@case()
def test_QUE_07_transient_queue_is_allowed(env):
    """3.10 column: durable=false and exclusive=false is an ordinary declare."""
    ch, q = env.ch(), env.name()
    ch.declare(q)
    eq(env.queue_row(q, "durable", "auto_delete", "exclusive"),
       {"name": q, "durable": False, "auto_delete": False, "exclusive": False})
    ch.delete(q)


# -- QUE-08..10: arguments -----------------------------------------------------------------------

@case(table={"durable": dict(durable=True), "auto_delete": dict(auto_delete=True)})
def test_QUE_08_redeclare_other_property(env, change):
    ch, q = env.ch(), env.name()
    ch.declare(q)
    env.undo(lambda: env.ch().delete(q))
    arg = next(iter(change))
    with closes_channel(406, f"PRECONDITION_FAILED - inequivalent arg '{arg}' for queue '{q}' in vhost "
                        "'/': received 'true' but current is 'false'", (50, 10)):
        ch.declare(q, **change)


CHECKED = {"x-message-ttl": (1000, 2000), "x-expires": (60000, 70000), "x-max-length": (10, 20),
           "x-max-length-bytes": (1000, 2000), "x-overflow": ("drop-head", "reject-publish"),
           "x-max-priority": (5, 6), "x-dead-letter-exchange": ("amq.direct", "amq.fanout"),
           "x-single-active-consumer": (True, False), "x-queue-mode": ("lazy", "default"),
           "x-dead-letter-routing-key": ("a", "b")}


@case(table={f"{arg}-{how}": (arg, how) for arg in CHECKED for how in ("changed", "missing", "added")})
def test_QUE_08_redeclare_other_argument(env, arg):
    arg, how = arg
    one, two = CHECKED[arg]
    rest = {"x-dead-letter-exchange": "amq.direct"} if arg == "x-dead-letter-routing-key" else {}
    ch, q = env.ch(), env.name()
    first, second = {"changed": ({arg: one}, {arg: two}), "missing": ({arg: one}, {}),
                     "added": ({}, {arg: one})}[how]
    ch.declare(q, arguments={**rest, **first})
    env.undo(lambda: env.ch().delete(q))
    with closes_channel(406, f"PRECONDITION_FAILED - inequivalent arg '{arg}' for queue '{q}' in vhost "
                        "'/': received .* but current is .*", (50, 10)):
        ch.declare(q, arguments={**rest, **second})


@case()
def test_QUE_08_same_arguments_other_integer_width(env):
    ch, q = env.ch(), env.name()
    args = {k: v[0] for k, v in CHECKED.items()}
    ch.declare(q, arguments=args)
    ch.declare(q, arguments=dict(reversed(args.items())))
    ch.declare(q, arguments={**args, "x-message-ttl": Typed("l", 1000), "x-max-length": Typed("b", 10),
                             "x-expires": Typed("i", 60000)})
    ch.delete(q)


@case()
def test_QUE_08_unknown_arguments_are_not_compared(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, arguments={"my-arg": 1})
    ch.declare(q, arguments={"my-arg": 2, "other": "x"})
    ch.delete(q)


@case()
def test_QUE_08_type_is_compared(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True)
    env.undo(lambda: env.ch().delete(q))
    ch.declare(q, durable=True, arguments={"x-queue-type": "classic"})
    with closes_channel(406, f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{q}'"):
        ch.declare(q, durable=True, arguments=QQ)


BAD = {"x-message-ttl": ["text", -1, 315360000001, True], "x-expires": ["text", 0, -1, 315360000001],
       "x-max-length": ["text", -1, 1.5], "x-max-length-bytes": ["text", -1],
       "x-overflow": [5, "no-such-mode"], "x-max-priority": ["text", -1, 256],
       "x-dead-letter-exchange": [5, True], "x-single-active-consumer": ["true", 1],
       "x-queue-mode": [5, "no-such-mode"], "x-queue-type": [5]}


@case(table={f"{arg}={value!r}": (arg, value) for arg, values in BAD.items() for value in values})
def test_QUE_09_invalid_argument(env, arg):
    arg, value = arg
    with closes_channel(406, f"PRECONDITION_FAILED - .*{arg}", (50, 10)):
        env.ch().declare(env.name(), durable=True, arguments={arg: value})


@case(table={"type": 5, "value": "no-such-locator"}, oracle=False,
      reason="3.10.8 was asked: its channel crashes, 541")
def test_QUE_09_invalid_master_locator(env, value):
    with closes_channel(406, "PRECONDITION_FAILED - .*x-queue-master-locator", (50, 10)):
        env.ch().declare(env.name(), durable=True, arguments={"x-queue-master-locator": value})


@case(table={"delivery-limit-on-classic": {"x-delivery-limit": 5},
             "initial-group-size-on-classic": {"x-quorum-initial-group-size": 3},
             "max-age-on-classic": {"x-max-age": "1D"},
             "max-priority-on-quorum": {**QQ, "x-max-priority": 5},
             "queue-mode-on-quorum": {**QQ, "x-queue-mode": "lazy"},
             "queue-version-on-quorum": {**QQ, "x-queue-version": 2},
             "max-age-on-quorum": {**QQ, "x-max-age": "1D"}})
def test_QUE_09_argument_of_another_type(env, args):
    """asked RabbitMQ 3.10.8: reject-publish-dlx on a quorum queue is accepted (4.x: 406)."""
    with closes_channel(406, "PRECONDITION_FAILED - invalid arg '", (50, 10)):
        env.ch().declare(env.name(), durable=True, arguments=args)


@case()
def test_QUE_09_unknown_arguments_are_kept_and_shown(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, arguments={"my-arg": "v", "x-made-up": 7})
    shown = str(env.queue_row(q, "arguments")["arguments"])
    for piece in ("my-arg", "x-made-up", "7"):
        has(shown, piece)
    ch.delete(q)


@case(table={"classic": "classic", "quorum": "quorum", "stream": "stream"})
def test_QUE_10_queue_type_is_shown(env, kind):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments={"x-queue-type": kind})
    eq(env.queue_row(q, "type")["type"], kind)
    ch.delete(q)


@case()
def test_QUE_10_unknown_type(env):
    with closes_channel(406, "PRECONDITION_FAILED - .*x-queue-type", (50, 10)):
        env.ch().declare(env.name(), durable=True, arguments={"x-queue-type": "nope"})


@case()
def test_QUE_10_default_of_the_vhost(env):
    v = env.name("v")
    env.ctl("add_vhost", v, "--default-queue-type", "quorum")
    env.allow("guest", vhost=v)
    env.undo(lambda: env.ctl("delete_vhost", v))
    ch = env.ch(vhost=v)
    ch.declare("d", durable=True)
    ch.declare("c", durable=True, arguments={"x-queue-type": "classic"})
    eq(sorted((r["name"], r["type"]) for r in env.rows("list_queues", "name", "type", vhost=v)),
       [("c", "classic"), ("d", "quorum")])


# -- QUE-11..13: time ----------------------------------------------------------------------------

def _dlx(ch, **args):
    """A dead-letter target and the arguments that lead to it."""
    dead = ch.declare(exclusive=True).queue
    return dead, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, **args}


@case(table={"classic": {}, "quorum": QQ})
def test_QUE_11_message_ttl(env, extra):
    ch = env.ch()
    dead, args = _dlx(ch, **extra, **{"x-message-ttl": 300})
    q = ch.declare(env.name(), durable=True, arguments=args).queue
    begin = time.monotonic()
    for i in range(3):
        ch.publish("", q, str(i))
    until_count(ch, q, 3, 0.25)
    until_count(ch, dead, 3)
    waited = time.monotonic() - begin
    assert 0.25 < waited < 3, waited
    eq(count(ch, q), 0)
    eq(bodies(drain(ch, dead)), ["0", "1", "2"])
    ch.delete(q)


@case()
def test_QUE_11_ttl_0_drops_unless_delivered_at_once(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-message-ttl": 0}).queue
    ch.publish("", q, "lost")
    ch.sync()
    eq(count(ch, q), 0)
    eq(ch.get(q), None)
    ch.consume(q, no_ack=True)
    ch.publish("", q, "kept")
    eq(ch.delivery().body, b"kept")


@case(table={"0": 0, "largest": Typed("l", 315360000000)})
def test_QUE_11_ttl_bounds(env, value):
    env.ch().declare(exclusive=True, arguments={"x-message-ttl": value})


@case()
def test_QUE_11_unacked_messages_do_not_expire_until_requeued(env):
    ch = env.ch()
    dead, args = _dlx(ch, **{"x-message-ttl": 200})
    q = ch.declare(exclusive=True, arguments=args).queue
    ch.publish("", q, "held")
    m = until(lambda: ch.get(q), "message")
    ch.publish("", q, "other")
    until_count(ch, dead, 1)
    eq(ch.get(dead, no_ack=True).body, b"other")
    ch.reject(m.delivery_tag, requeue=True)
    until_count(ch, dead, 1)
    eq(ch.get(dead, no_ack=True).body, b"held")


@case(table={"message-lower": ("200", 60000), "queue-lower": ("60000", 200)})
def test_QUE_12_the_lower_ttl_wins(env, arg):
    ch = env.ch()
    dead, args = _dlx(ch, **{"x-message-ttl": arg[1]})
    q = ch.declare(exclusive=True, arguments=args).queue
    begin = time.monotonic()
    ch.publish("", q, props={"expiration": arg[0]})
    until_count(ch, dead, 1, 5)
    assert time.monotonic() - begin > 0.15


@case(table={"classic": {}, "quorum": QQ})
def test_QUE_12_expired_in_the_middle_leaves_at_the_head(env, extra):
    ch = env.ch()
    dead, args = _dlx(ch, **extra)
    q = ch.declare(env.name(), durable=True, arguments=args).queue
    ch.publish("", q, "long")
    ch.publish("", q, "short", {"expiration": "100"})
    ch.publish("", q, "long2")
    until_count(ch, q, 3)
    time.sleep(0.3)  # an expiry that must not show has no event
    eq((count(ch, q), count(ch, dead)), (3, 0), "the expired one waits behind the head")
    eq(ch.get(q, no_ack=True).body, b"long")
    until_count(ch, dead, 1)
    eq(ch.get(dead, no_ack=True).body, b"short")
    eq(ch.get(q, no_ack=True).body, b"long2")
    ch.delete(q)


@case()
def test_QUE_12_expiration_0(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props={"expiration": "0"})
    ch.sync()
    eq(ch.get(q), None)


@case(table={"classic": {}, "quorum": QQ})
def test_QUE_13_expires_unused(env, extra):
    ch, q = env.ch(), env.name()
    begin = time.monotonic()
    ch.declare(q, durable=True, arguments={"x-expires": 500, **extra})
    # A redeclare renews the lease of a classic queue, not that of a quorum queue.
    until(lambda: _gone(env, q) if extra else _unrouted(ch, q), "queue to expire", 10)
    assert time.monotonic() - begin > 0.4


@case()
def test_QUE_13_get_and_redeclare_renew(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, arguments={"x-expires": 700})
    for action in (lambda: ch.get(q), lambda: ch.declare(q, arguments={"x-expires": 700})) * 3:
        time.sleep(0.3)  # the lease's own clock is the subject
        action()
    time.sleep(0.3)
    assert not _gone(env, q)


@case()
def test_QUE_13_consumer_keeps_it(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, arguments={"x-expires": 300})
    tag = ch.consume(q)
    time.sleep(0.7)  # an expiry that must not happen has no event
    assert not _gone(env, q)
    ch.cancel(tag)
    until(lambda: _unrouted(ch, q), "queue to expire")


# -- QUE-14..16: bounds and order ----------------------------------------------------------------

@case()
def test_QUE_14_max_length_drops_the_head(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-length": 10}).queue
    for i in range(15):
        ch.publish("", q, str(i))
    ch.sync()
    eq(bodies(drain(ch, q)), [str(i) for i in range(5, 15)])


@case()
def test_QUE_14_max_length_counts_ready_only(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-length": 2}).queue
    for i in range(2):
        ch.publish("", q, str(i))
    ch.sync()
    held = [ch.get(q), ch.get(q)]
    for i in range(2, 5):
        ch.publish("", q, str(i))
    ch.sync()
    eq(count(ch, q), 2)
    ch.ack(held[1].delivery_tag, multiple=True)
    eq(bodies(drain(ch, q)), ["3", "4"])


@case()
def test_QUE_14_max_length_bytes_counts_bodies(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-length-bytes": 1000}).queue
    for i in range(15):
        ch.publish("", q, b"%03d" % i + b"x" * 97, {"headers": {"big": "y" * 500}})
    ch.sync()
    eq([m.body[:3] for m in drain(ch, q)], [b"%03d" % i for i in range(5, 15)])


@case(table={"count-first": (2, 1000, 2), "bytes-first": (100, 300, 3)})
def test_QUE_14_first_limit_hit_applies(env, arg):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-length": arg[0],
                                              "x-max-length-bytes": arg[1]}).queue
    for i in range(10):
        ch.publish("", q, b"x" * 100)
    ch.sync()
    eq(count(ch, q), arg[2])


@case()
def test_QUE_14_max_length_0_keeps_nothing(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-length": 0}).queue
    ch.publish("", q)
    ch.sync()
    eq(count(ch, q), 0)


@case(table={"drop-head": ("drop-head", "ack", ["1", "2", "3"], ["0"]),
             "default": (None, "ack", ["1", "2", "3"], ["0"]),
             "reject-publish": ("reject-publish", "nack", ["0", "1", "2"], []),
             "reject-publish-dlx": ("reject-publish-dlx", "nack", ["0", "1", "2"], ["3"])})
def test_QUE_15_overflow(env, arg):
    mode, answer, kept, died = arg
    ch = env.ch()
    dead, args = _dlx(ch, **{"x-max-length": 3})
    if mode:
        args["x-overflow"] = mode
    q = ch.declare(exclusive=True, arguments=args).queue
    ch.confirm()
    eq([ch.publish_confirmed("", q, str(i)) for i in range(4)], ["ack"] * 3 + [answer])
    if died:
        until_count(ch, dead, len(died))
    eq((bodies(drain(ch, q)), bodies(drain(ch, dead))), (kept, died))


@case()
def test_QUE_15_reject_publish_recovers(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}).queue
    ch.confirm()
    eq(ch.publish_confirmed("", q, "a"), "ack")
    eq(ch.publish_confirmed("", q, "b"), "nack")
    ch.get(q, no_ack=True)
    eq(ch.publish_confirmed("", q, "c"), "ack")


@case()
def test_QUE_15_drop_head_on_quorum(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments={**QQ, "x-max-length": 3})
    ch.confirm()
    for i in range(5):
        ch.publish("", q, str(i))
    ch.wait_confirms()
    until_count(ch, q, 3)
    eq(bodies(drain(ch, q)), ["2", "3", "4"])
    ch.delete(q)


@case()
def test_QUE_16_priorities(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-priority": 10}).queue
    order = [3, 0, 9, 5, 9, 1, 200, 10, None, 3]
    for i, p in enumerate(order):
        ch.publish("", q, f"{i}", {} if p is None else {"priority": p})
    ch.sync()
    rank = sorted(range(len(order)), key=lambda i: (-min(order[i] or 0, 10), i))
    eq(bodies(drain(ch, q)), [str(i) for i in rank])


@case()
def test_QUE_16_requeued_keeps_its_level_and_place(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-priority": 2}).queue
    for i, p in enumerate((1, 1, 2, 0)):
        ch.publish("", q, str(i), {"priority": p})
    ch.sync()
    got = [ch.get(q) for _ in range(2)]
    eq(bodies(got), ["2", "0"])
    ch.nack(got[1].delivery_tag, multiple=True)
    eq(bodies(drain(ch, q)), ["2", "0", "1", "3"])


@case(table={"1": 1, "255": 255})
def test_QUE_16_bounds(env, n):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-max-priority": n}).queue
    for p in (0, 1, 255):
        ch.publish("", q, str(p), {"priority": p})
    ch.sync()
    eq(bodies(drain(ch, q)), ["255", "1", "0"] if n == 255 else ["1", "255", "0"])


@case()
def test_QUE_16_max_priority_0(env):
    """asked RabbitMQ 3.10.8: x-max-priority 0 is accepted (one level)."""
    env.ch().declare(exclusive=True, arguments={"x-max-priority": 0})


# -- QUE-18..22: single active consumer, dead-letter arguments, delivery limit ---------------------

@case(table={"classic": {}, "quorum": QQ})
def test_QUE_18_single_active_consumer(env, extra):
    """One consumer gets everything; the next in subscription order takes over; order is kept."""
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments={"x-single-active-consumer": True, **extra})
    conns = [env.ch() for _ in range(3)]
    tags = [c.consume(q, f"c{i}") for i, c in enumerate(conns)]
    for i in range(4):
        ch.publish("", q, str(i))
    eq(bodies(conns[0].deliveries(4)), ["0", "1", "2", "3"])
    conns[1].nothing()
    conns[0].ack(2, multiple=True)
    conns[0].sync()
    conns[0].conn.shut()
    eq(bodies(conns[1].deliveries(2)), ["2", "3"], "unacked go to the next in order")
    conns[2].nothing(0.1)
    conns[1].ack(0, multiple=True)
    conns[1].cancel(tags[1])
    ch.publish("", q, "4")
    eq(conns[2].delivery().body, b"4")
    ch.delete(q)


@case()
def test_QUE_18_exclusive_consumer_is_refused(env):
    """asked RabbitMQ 3.10.8: exclusive=true on a single-active queue is 403."""
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-single-active-consumer": True}).queue
    with closes_channel(403, "ACCESS_REFUSED - .*'" + q + "'", (60, 20)):
        ch.consume(q, exclusive=True)


@case()
def test_QUE_18_classic_ignores_consumer_priority(env):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments={"x-single-active-consumer": True}).queue
    ch.consume(q, "low")
    ch.consume(q, "high", {"x-priority": 10})
    ch.publish("", q)
    eq(ch.delivery().consumer_tag, "low")


@case(table={"no-write-on-dlx": ("^amq", ".*"), "no-read-on-queue": (".*", "^amq")})
def test_QUE_19_needs_read_on_queue_and_write_on_dlx(env, arg):
    ch = env.ch(user=env.user(write=arg[0], read=arg[1]), password="pw")
    with closes_channel(403, "ACCESS_REFUSED - ", (50, 10)):
        ch.declare(env.name(), exclusive=True, arguments={"x-dead-letter-exchange": "other"})


@case()
def test_QUE_19_dlx_may_not_exist_yet(env):
    ch, x = env.ch(), env.name("x")
    q = ch.declare(exclusive=True, arguments={"x-dead-letter-exchange": x}).queue
    ch.publish("", q, "lost")
    ch.reject(until(lambda: ch.get(q), "m").delivery_tag, requeue=False)
    ch.exchange(x, "fanout", auto_delete=True)
    dead = ch.declare(exclusive=True).queue
    ch.bind(dead, x)
    ch.publish("", q, "kept")
    ch.reject(until(lambda: ch.get(q), "m").delivery_tag, requeue=False)
    until_count(ch, dead, 1)
    eq(bodies(drain(ch, dead)), ["kept"])


@case()
def test_QUE_20_routing_key_without_exchange(env):
    with closes_channel(406, "PRECONDITION_FAILED - .*x-dead-letter-routing-key", (50, 10)):
        env.ch().declare(exclusive=True, arguments={"x-dead-letter-routing-key": "k"})


@case()
def test_QUE_20_default_is_the_original_keys(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "direct", auto_delete=True)
    q = ch.declare(exclusive=True, arguments={"x-dead-letter-exchange": x}).queue
    dead, cc = ch.declare(exclusive=True).queue, ch.declare(exclusive=True).queue
    ch.bind(dead, x, q)
    ch.bind(cc, x, "copy")
    ch.publish("", q, props={"headers": {"CC": ["copy"]}})
    ch.reject(until(lambda: ch.get(q), "m").delivery_tag, requeue=False)
    until_count(ch, dead, 1)
    until_count(ch, cc, 1)


@case(table={"2": (2, 3), "0": (0, 1)})
def test_QUE_22_delivery_limit(env, arg):
    """x-delivery-limit N allows N+1 attempts, then dead-letters with reason delivery_limit."""
    limit, attempts = arg
    ch = env.ch()
    dead, args = _dlx(ch, **QQ, **{"x-delivery-limit": limit})
    q = ch.declare(env.name(), durable=True, arguments=args).queue
    ch.publish("", q, "m")
    ch.consume(q)
    for n in range(attempts):
        m = ch.delivery()
        eq(m.headers.get("x-delivery-count", 0), n)
        ch.reject(m.delivery_tag, requeue=True)
    until_count(ch, dead, 1)
    m = ch.get(dead, no_ack=True)
    eq((m.headers["x-death"][0]["reason"], m.headers["x-first-death-reason"]),
       ("delivery_limit", "delivery_limit"))
    ch.nothing(0.1)
    ch.delete(q)


@case()
def test_QUE_22_no_limit_by_default(env):
    """3.10 column: without the argument there is no limit (4.x: 20)."""
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments=QQ)
    ch.publish("", q)
    ch.consume(q)
    for _ in range(30):
        ch.reject(ch.delivery().delivery_tag, requeue=True)
    eq(ch.delivery().headers["x-delivery-count"], 30)
    ch.delete(q)


# -- QUE-26, 27, 29: accepted and refused ----------------------------------------------------------

@case()
def test_QUE_26_max_in_memory_is_accepted(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments={**QQ, "x-max-in-memory-length": 5,
                                           "x-max-in-memory-bytes": 1000})
    for i in range(10):
        ch.publish("", q, str(i))
    until_count(ch, q, 10)
    eq(bodies(drain(ch, q)), [str(i) for i in range(10)])
    ch.delete(q)


@case(table={"lazy": {"x-queue-mode": "lazy"}, "default": {"x-queue-mode": "default"},
             "version-1": {"x-queue-version": 1}, "version-2": {"x-queue-version": 2},
             "lazy-priority": {"x-queue-mode": "lazy", "x-max-priority": 3},
             "ha": {"x-ha-policy": "all"}, "master-locator": {"x-queue-master-locator": "min-masters"}})
def test_QUE_27_old_arguments_work(env, args):
    ch = env.ch()
    q = ch.declare(exclusive=True, arguments=args).queue
    for i in range(10):
        ch.publish("", q, str(i), {"delivery_mode": 2})
    ch.sync()
    eq(bodies(drain(ch, q)), [str(i) for i in range(10)])


@case(table={"non-durable": dict(durable=False), "exclusive": dict(durable=True, exclusive=True),
             "auto-delete": dict(durable=True, auto_delete=True)})
def test_QUE_29_quorum_forbidden_properties(env, flags):
    want = {"non-durable": "non-durable", "exclusive": "exclusive-owner", "auto-delete": "auto-delete"}
    name = next(k for k in want if (k == "non-durable") == (not flags["durable"])
                and (k == "exclusive") == flags.get("exclusive", False)
                and (k == "auto-delete") == flags.get("auto_delete", False))
    with closes_channel(406, f"PRECONDITION_FAILED - invalid property '{want[name]}'", (50, 10)):
        env.ch().declare(env.name(), arguments=QQ, **flags)


# -- QUE-30..35: delete, purge, limits, states -----------------------------------------------------

@case()
def test_QUE_30_delete(env):
    ch, q = env.ch(), env.name()
    eq(ch.delete(q), 0, "missing")
    ch.declare(q)
    for _ in range(4):
        ch.publish("", q)
    until_count(ch, q, 4)
    assert ch.get(q)
    eq(ch.delete(q), 3, "ready only")
    assert _gone(env, q)


@case()
def test_QUE_30_if_unused(env):
    ch, q = env.ch(), env.name()
    ch.declare(q)
    tag = env.ch().consume(q)
    with closes_channel(406, f"PRECONDITION_FAILED - queue '{q}' in vhost '/' in use", (50, 40)):
        ch.delete(q, if_unused=True)
    assert tag
    env.ch().delete(q)


@case()
def test_QUE_30_if_empty(env):
    ch, q = env.ch(), env.name()
    ch.declare(q)
    ch.publish("", q)
    until_count(ch, q, 1)
    with closes_channel(406, f"PRECONDITION_FAILED - queue '{q}' in vhost '/' not empty", (50, 40)):
        ch.delete(q, if_empty=True)
    ch = env.ch()
    ch.purge(q)
    eq(ch.delete(q, if_empty=True, if_unused=True), 0)
    assert _gone(env, q)


@case(table={"if-unused": dict(if_unused=True), "if-empty": dict(if_empty=True)})
def test_QUE_30_quorum_with_condition(env, flags):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments=QQ)
    env.undo(lambda: env.ch().delete(q))
    with closes_connection(540, "NOT_IMPLEMENTED - ", (50, 40)):
        ch.delete(q, **flags)


@case(table={"classic": {}, "quorum": QQ})
def test_QUE_31_purge(env, args):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments=args)
    for i in range(6):
        ch.publish("", q, str(i))
    until_count(ch, q, 6)
    held = ch.get(q)
    eq(ch.purge(q), 5)
    eq(count(ch, q), 0)
    ch.reject(held.delivery_tag, requeue=True)
    until_count(ch, q, 1)
    eq(ch.purge(q), 1)
    ch.delete(q)


@case()
def test_QUE_31_purge_missing(env):
    with closes_channel(404, "NOT_FOUND - no queue", (50, 30)):
        env.ch().purge(env.name())


@case()
def test_QUE_31_purge_stream(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments={"x-queue-type": "stream"})
    env.undo(lambda: env.ch().delete(q))
    with closes_connection(540, "NOT_IMPLEMENTED - ", (50, 30)):
        ch.purge(q)


@case()
def test_QUE_32_delete_cancels_consumers_and_bindings(env):
    ch, q, x = env.ch(), env.name(), env.name("x")
    ch.declare(q)
    ch.exchange(x, "fanout", auto_delete=True)
    ch.bind(q, x)
    consumer = env.ch()
    tag = consumer.consume(q)
    deaf = env.ch(capabilities={})
    deaf.consume(q)
    ch.delete(q)
    cancel = consumer.wait("basic.cancel")
    eq((cancel.consumer_tag, cancel.nowait), (tag, True))
    deaf.sync()
    eq([m.name for m in deaf.inbox], [], "no cancel without the capability")
    with closes_channel(404, "NOT_FOUND - no exchange"):
        ch.exchange(x, "fanout", passive=True)


@case()
def test_QUE_32_confirms_in_flight_are_settled(env):
    """asked RabbitMQ 3.10.8: messages to a queue that is deleted meanwhile are acked."""
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True)
    ch.confirm()
    for i in range(500):
        ch.publish("", q, props={"delivery_mode": 2})
        if i == 250:
            env.ch().delete(q)
    eq(len(ch.wait_confirms()[0]), 500)


@case()
def test_QUE_33_vhost_max_queues(env):
    v = env.vhost()
    env.ctl("set_vhost_limits", "-p", v, '{"max-queues": 2}')
    ch = env.ch(vhost=v)
    ch.declare("a")
    ch.declare("b")
    ch.declare("a")
    with closes_channel(406, f"PRECONDITION_FAILED - .*limit in vhost '{v}' .2. is reached", (50, 10)):
        ch.declare("c")
    ch = env.ch(vhost=v)
    ch.delete("a")
    ch.declare("c")


@case(node="own", oracle=False, reason="3.10 has no limits of a cluster (4.x does)")
def test_QUE_33_and_EXC_23_limits_of_the_cluster(env):
    node = env.suite.nodes.make("limits", config="cluster_queue_limit = 2\nvhost_max = 2\n"
                                "cluster_exchange_limit = 15\n").start()
    node.ctl("add_vhost", "v")
    node.ctl("set_permissions", "-p", "v", "guest", ".*", ".*", ".*")
    eq(node.ctl("add_vhost", "w", check=False).rc != 0, True)
    node.ctl("add_vhost", "v", check=False)
    ch, other = env.ch(port=node.port), env.ch(port=node.port, vhost="v")
    ch.declare("a")
    other.declare("b")
    ch.declare("a")
    with closes_channel(406, "PRECONDITION_FAILED - cannot declare queue 'c' in vhost 'v': queue "
                        "limit in cluster .2. is reached", (50, 10)):
        other.declare("c")
    ch.delete("a")
    env.ch(port=node.port, vhost="v").declare("c")
    ch.exchange("x")
    with closes_channel(406, "PRECONDITION_FAILED - cannot declare exchange 'y' in vhost '/'", (40, 10)):
        ch.exchange("y")
    node.stop()


@case(table={"classic": {}, "quorum": QQ})
def test_QUE_34_state_running(env, args):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments=args)
    eq(env.queue_row(q, "state")["state"], "running")
    ch.delete(q)


@case(oracle=False, reason="no RabbitMQ has it")
def test_QUE_35_pause_keeps_consumers(env):
    ch, q = env.ch(), env.name()
    ch.declare(q)
    ch.consume(q, no_ack=True)
    env.ctl("pause_queue", q)
    ch.publish("", q, "m")
    until_count(ch, q, 1)
    eq(ch.declare(q, passive=True).consumer_count, 1)
    env.ctl("resume_queue", q)
    eq(ch.delivery().body, b"m")
    ch.delete(q)


# -- QUE-36, 07: restart ---------------------------------------------------------------------------

@case(node="own", table={"clean": False, "kill-9": True})
def test_QUE_36_restart(env, hard):
    """Durable things and persistent messages come back; transient ones do not."""
    node = env.suite.nodes.make("restart9" if hard else "restart").start()
    ch = env.ch(port=node.port)
    ch.declare("d", durable=True, arguments={"x-max-length": 1000})
    ch.declare("t")
    ch.exchange("dx", "topic", durable=True)
    ch.exchange("tx", "topic")
    ch.bind("d", "dx", "a.#", {"arg": 1})
    ch.bind("d", "amq.direct", "k")
    ch.confirm()
    for i in range(50):
        ch.publish("", "d", f"p{i}", {"delivery_mode": 2, "headers": {"i": i}})
    ch.publish("", "d", "gone", {"delivery_mode": 1})
    ch.wait_confirms()
    eq(ch.get("d").body, b"p0")
    ch.ack(1)
    assert ch.get("d")
    ch.sync()
    node.ctl("add_user", "stays", "pw")
    node.ctl("add_vhost", "vh")
    if hard:
        # The ack was not confirmed by anything: a crash may or may not have kept it.
        node.kill9()
    else:
        node.stop()
    node.start()
    ch = env.ch(port=node.port)
    until(lambda: count(ch, "d") >= 49, "messages", 20)
    got = drain(ch, "d")
    eq([b for b in bodies(got) if b != "p0"], [f"p{i}" for i in range(1, 50)])
    eq(got[-1].headers, {"i": 49})
    if not hard:
        eq(len(got), 49)
    assert [m for m in got if m.body == b"p1"][0].redelivered or hard
    ch.publish("dx", "a.b", "routed")
    ch.publish("amq.direct", "k", "routed")
    ch.sync()
    eq(bodies(drain(ch, "d")), ["routed", "routed"])
    eq(node.ctl("authenticate_user", "stays", "pw").rc, 0)
    for missing in (lambda c: c.declare("t", passive=True),
                    lambda c: c.exchange("tx", "topic", passive=True)):
        with closes_channel(404):
            missing(env.ch(port=node.port))
    with closes_channel(406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length'"):
        env.ch(port=node.port).declare("d", durable=True)
    node.stop()


@case(node="own", oracle=False, reason="warren.queues_memory is ours; 3.10.8 pages classic queues by rules of its own")
def test_QUE_06_a_transient_backlog_waits_on_disc(env):
    """Bodies beyond the memory of all queues leave it, come back in order, and end with the process."""
    node = env.suite.nodes.make("paging", config="warren.queues_memory = 2MiB\n").start()
    pages = node.folder / "data" / node.name / "scratch"

    def on_disc():
        return sum(f.stat().st_blocks * 512 for f in pages.iterdir())
    ch = env.ch(port=node.port)
    q = ch.declare("t").queue
    total, size = 6000, 4000
    for i in range(total):
        ch.publish("", q, b"%06d" % i + b"." * size)
    ch.sync()
    until(lambda: on_disc() > total * size // 2, "pages of half the backlog")
    assert "paged out" in node.log_text()
    ch.consume(q, no_ack=True)
    for i in range(total):
        eq(ch.delivery().body[:6], b"%06d" % i)
    until(lambda: on_disc() < 2 << 20, "the pages' space given back")
    for i in range(total):
        ch.publish("", ch.declare("u").queue if i == 0 else "u", b"%06d" % i + b"." * size)
    ch.sync()
    until(lambda: on_disc() > 1 << 20, "pages again")
    node.kill9()
    node.start()
    eq(on_disc(), 0)
    node.stop()
