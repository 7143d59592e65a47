"""PUB: publishing, confirms, transactions (features.md 1.2)."""

import contextlib

from amqp_wire import (BODY, CONTENT_HEADER, METHOD, Channel, Typed, frame, header_payload,
                       method_payload)
from harness import (WaitTimeout, bodies, case, closes_channel, closes_connection, count, drain,
                     eq, match, until, until_count)


# -- PUB-01..03: confirms ------------------------------------------------------------------------

@case()
def test_PUB_01_numbers_count_up_from_one(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.confirm()
    for i in range(1000):
        ch.publish("", q, str(i))
    acked, nacked = ch.wait_confirms()
    eq((len(acked), len(nacked)), (1000, 0))
    eq(count(ch, q), 1000)


@case()
def test_PUB_01_select_is_idempotent(env):
    ch = env.ch()
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere"), "ack")
    ch.call("confirm.select")
    ch.publish("", "nowhere")
    eq(ch.wait("basic.ack").delivery_tag, 2, "numbering goes on")


@case()
def test_PUB_01_numbers_are_per_channel(env):
    conn = env.conn()
    for ch in (conn.channel(), conn.channel()):
        ch.confirm()
        ch.publish("", "nowhere")
        eq(ch.wait("basic.ack").delivery_tag, 1)


@case()
def test_PUB_01_more_behind_slow_methods_than_is_kept(env):
    """Reading pauses while a channel waits for the disc with its hands full, and goes on after."""
    conn = env.conn()
    ch = conn.channel()
    ch.confirm()
    names = [env.name() for _ in range(60)]
    script = [frame(METHOD, ch.number, method_payload(
        "queue.declare", queue=q, durable=True)) for q in names]
    body = b"x" * 20000
    one = (frame(METHOD, ch.number, method_payload(
        "basic.publish", exchange="", routing_key=names[0]))
        + frame(CONTENT_HEADER, ch.number, header_payload(
            len(body), {"delivery_mode": 2}))
        + frame(BODY, ch.number, body))
    conn.send(b"".join(script) + one * 400)
    for _ in names:
        ch.wait("queue.declare-ok")
    acked, nacked = ch.wait_confirms(400)
    eq((len(acked), len(nacked)), (400, 0))
    for q in names:
        ch.delete(q)


@case()
def test_PUB_01_one_channel_to_thousands_of_queues(env):
    """What a channel remembers of its queues is bounded, and starting anew loses nothing."""
    ch = env.ch()
    ch.confirm()
    names = [env.name() for _ in range(4200)]
    for q in names:
        ch.send("queue.declare", queue=q, exclusive=True)
    for q in names:
        ch.wait("queue.declare-ok")
    for i, q in enumerate(names):
        ch.publish("", q)
        if i > 4000:  # one publish per turn: nothing else is gathered when the bound is reached
            ch.sync()
    acked, nacked = ch.wait_confirms(4200)
    eq((len(acked), len(nacked)), (4200, 0))
    eq(ch.declare(names[-1], exclusive=True).message_count, 1)


@case()
def test_PUB_01_publishes_before_select_do_not_count(env):
    ch = env.ch()
    ch.publish("", "nowhere")
    ch.confirm()
    ch.publish("", "nowhere")
    eq(ch.wait("basic.ack").delivery_tag, 1)


@case()
def test_PUB_01_select_nowait(env):
    ch = env.ch()
    ch.send("confirm.select", nowait=True)
    ch.publish("", "nowhere")
    eq(ch.wait("basic.ack").delivery_tag, 1)


@case(table={"classic": {}, "quorum": {"x-queue-type": "quorum"}})
def test_PUB_02_nack_when_the_queue_refuses(env, extra):
    """A quorum queue may take a few more than the limit before it refuses."""
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish", **extra})
    ch.confirm()
    eq(ch.publish_confirmed("", q), "ack")
    until(lambda: ch.publish_confirmed("", q) == "nack", "a nack")
    assert count(ch, q) <= 3
    ch.delete(q)


@case(table={"unroutable": lambda ch, q: ("", "nowhere-at-all"),
             "classic-durable": lambda ch, q: ("", ch.declare(q, durable=True).queue),
             "classic-transient": lambda ch, q: ("", ch.declare(q).queue),
             "exclusive": lambda ch, q: ("", ch.declare(q, exclusive=True).queue),
             "quorum": lambda ch, q: ("", ch.declare(
                 q, durable=True, arguments={"x-queue-type": "quorum"}).queue)})
def test_PUB_03_confirmed_once(env, target):
    ch = env.ch()
    exchange, key = target(ch, env.name())
    ch.confirm()
    for mode in (1, 2):
        eq(ch.publish_confirmed(exchange, key, props={"delivery_mode": mode}), "ack")


@case()
def test_PUB_03_fan_out_is_confirmed_once(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "fanout", auto_delete=True)
    queues = [ch.declare(exclusive=True).queue for _ in range(5)]
    queues.append(ch.declare(env.name(), durable=True, arguments={"x-queue-type": "quorum"}).queue)
    for q in queues:
        ch.bind(q, x)
    ch.confirm()
    for _ in range(20):
        ch.publish(x, "", props={"delivery_mode": 2})
    eq(len(ch.wait_confirms()[0]), 20)
    eq([count(ch, q) for q in queues], [20] * 6, "accepted before confirmed")
    ch.delete(queues[-1])


@case(node="own")
def test_PUB_03_confirmed_survives_kill_9(env):
    """Every confirmed persistent message in a durable queue is there after kill -9.

    asked RabbitMQ 3.10.8: a quorum queue declared seconds before the kill is lost for good (it
    registers its members in a file that is saved later), so only its classic half is compared.
    """
    node = env.suite.nodes.make("confirm9").start()
    ch = env.ch(port=node.port)
    ch.declare("c", durable=True)
    ch.declare("q", durable=True, arguments={"x-queue-type": "quorum"})
    ch.confirm()
    for i in range(200):
        ch.publish("", "cq"[i % 2], str(i), {"delivery_mode": 2})
    acked, _ = ch.wait_confirms()
    node.kill9()
    eq(len(acked), 200)
    ch = _reopen(env, node)
    eq({m.body for m in _drain_all(ch, "c")}, {b"%d" % i for i in range(0, 200, 2)}, "classic")
    if env.oracle:
        return
    eq({m.body for m in _drain_all(ch, "q")}, {b"%d" % i for i in range(1, 200, 2)}, "quorum")
    node.stop()


def _reopen(env, node):
    node.start()
    return env.ch(port=node.port)


def _drain_all(ch, q):
    """Gets until empty; a quorum queue may need a moment to elect after a restart."""
    first = until(lambda: ch.get(q, no_ack=True), f"messages in {q}", 20)
    return [first] + drain(ch, q)


# -- PUB-04, 05: transactions --------------------------------------------------------------------

@case()
def test_PUB_04_publishes_wait_for_commit(env):
    ch, other = env.ch(), env.ch()
    q = ch.declare(env.name(), auto_delete=True).queue
    ch.call("tx.select")
    ch.publish("", q, "a")
    ch.sync()
    eq(count(other, q), 0, "before commit")
    ch.call("tx.commit")
    eq(count(other, q), 1, "after commit")
    ch.publish("", q, "b")
    ch.call("tx.rollback")
    ch.call("tx.commit")
    eq(bodies(drain(other, q)), ["a"])
    other.delete(q)


@case()
def test_PUB_04_acks_wait_for_commit_rollback_keeps_them_unacked(env):
    ch, other = env.ch(), env.ch()
    q = ch.declare(env.name()).queue
    other.publish("", q, "a")
    until_count(other, q, 1)
    ch.call("tx.select")
    tag = ch.get(q).delivery_tag
    ch.ack(tag)
    ch.call("tx.rollback")
    eq(count(other, q), 0, "rollback does not requeue")
    ch.ack(tag)
    ch.call("tx.commit")
    ch.close()
    eq(count(other, q), 0, "acked for good")
    other.delete(q)


@case()
def test_PUB_04_uncommitted_ack_returns_on_close(env):
    ch, other = env.ch(), env.ch()
    q = ch.declare(env.name()).queue
    other.publish("", q, "a")
    until_count(other, q, 1)
    ch.call("tx.select")
    ch.ack(ch.get(q).delivery_tag)
    ch.sync()
    ch.close()
    until_count(other, q, 1)
    assert other.get(q, no_ack=True).redelivered
    other.delete(q)


@case()
def test_PUB_04_select_twice_and_mandatory_return_at_commit(env):
    ch = env.ch()
    ch.call("tx.select")
    ch.call("tx.select")
    ch.publish("", "nowhere", mandatory=True)
    ch.sync()
    ch.send("tx.commit")
    eq(ch.wait("basic.return", "tx.commit-ok").name, "basic.return")
    ch.wait("tx.commit-ok")


@case()
def test_PUB_04_where_to_is_decided_at_the_publish(env):
    ch, other = env.ch(), env.ch()
    gone, later, u = env.name("x"), env.name("x"), env.user()
    q, late, dropped = (other.declare(env.name(), durable=True).queue for _ in range(3))
    for queue in (q, late):
        env.undo(lambda queue=queue: env.ch().delete(queue))
    for x in (gone, later):
        other.exchange(x)
    other.call("queue.bind", queue=q, exchange=gone, routing_key="k", arguments={})
    limited = env.ch(user=u, password="pw")
    for c in (ch, limited):
        c.call("tx.select")
    ch.publish(gone, "k", "1")
    ch.publish(later, "k", "2")
    ch.publish("", dropped, "3", mandatory=True)
    limited.publish("", q, "4")
    ch.sync()
    limited.sync()
    other.xdelete(gone)
    other.call("queue.bind", queue=late, exchange=later, routing_key="k", arguments={})
    other.delete(dropped)
    env.allow(u, write="^$")
    ch.send("tx.commit")
    eq(ch.wait("basic.return", "tx.commit-ok").routing_key, dropped)
    ch.wait("tx.commit-ok")
    limited.call("tx.commit")
    eq((count(other, q), count(other, late)), (2, 0))
    other.xdelete(later)


@case()
def test_PUB_05_refused_by_a_queue_fails_the_commit(env):
    ch, other = env.ch(), env.ch()
    q = other.declare(env.name(), {"x-max-length": 1, "x-overflow": "reject-publish"}).queue
    free = other.declare(env.name()).queue
    ch.call("tx.select")
    for i in range(3):
        ch.publish("", q, str(i))
    ch.publish("", free, "z")
    with closes_channel(406, "PRECONDITION_FAILED - partial tx completion", (90, 20)):
        ch.call("tx.commit")
    eq((count(other, q), count(other, free)), (1, 1))
    for queue in (q, free):
        other.delete(queue)


@case(table={"tx-after-confirm": ("confirm.select", "tx.select", (90, 10)),
             "confirm-after-tx": ("tx.select", "confirm.select", (85, 10)),
             "commit-without-select": (None, "tx.commit", (90, 20)),
             "rollback-without-select": (None, "tx.rollback", (90, 30))})
def test_PUB_05_wrong_order(env, arg):
    ch = env.ch()
    if arg[0]:
        ch.call(arg[0])
    with closes_channel(406, "PRECONDITION_FAILED - ", arg[2]):
        ch.call(arg[1])


# -- PUB-06..10: where to ------------------------------------------------------------------------

@case()
def test_PUB_06_mandatory_is_returned_before_the_ack(env):
    ch = env.ch()
    ch.confirm()
    props = {"headers": {"h": 1}, "content_type": "x/y", "delivery_mode": 2}
    ch.publish("", "no.such.queue", b"body" * 100, props, mandatory=True)
    back = ch.wait("basic.return", "basic.ack")
    eq(back.name, "basic.return", "first answer")
    eq((back.reply_code, back.reply_text, back.exchange, back.routing_key),
       (312, "NO_ROUTE", "", "no.such.queue"))
    eq((back.body, back.props), (b"body" * 100, props))
    eq(ch.wait("basic.ack").delivery_tag, 1)


@case()
def test_PUB_06_without_the_flag_it_is_dropped(env):
    ch = env.ch()
    ch.confirm()
    ch.publish("amq.direct", "no.such.key")
    eq(ch.wait("basic.return", "basic.ack").name, "basic.ack")


@case()
def test_PUB_06_alternate_exchange_counts_as_routed(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x + "-ae", "fanout")
    ch.exchange(x, "direct", arguments={"alternate-exchange": x + "-ae"})
    ch.confirm()
    ch.publish(x, "k", mandatory=True)
    eq(ch.wait("basic.return", "basic.ack").name, "basic.return", "empty alternate exchange")
    ch.wait("basic.ack")
    q = ch.declare(exclusive=True).queue
    ch.bind(q, x + "-ae")
    ch.publish(x, "k", mandatory=True)
    eq(ch.wait("basic.return", "basic.ack").name, "basic.ack")
    ch.xdelete(x)
    ch.xdelete(x + "-ae")


@case()
def test_PUB_07_immediate(env):
    ch = env.ch()
    ch.publish("", "q", immediate=True)
    with closes_connection(540, "NOT_IMPLEMENTED - .*immediate", (60, 40)):
        ch.dies()


@case()
def test_PUB_08_missing_exchange(env):
    ch = env.ch()
    ch.publish("nope", "k")
    with closes_channel(404, "NOT_FOUND - no exchange 'nope' in vhost '/'", (60, 40)):
        ch.dies()


@case()
def test_PUB_09_internal_exchange(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "fanout", internal=True, auto_delete=True)
    ch.publish(x, "k")
    with closes_channel(403, f"ACCESS_REFUSED - cannot publish to internal exchange '{x}' "
                        "in vhost '/'", (60, 40)):
        ch.dies()


@case(table={"named": "amq.direct", "default": ""})
def test_PUB_10_no_write_permission(env, exchange):
    ch = env.ch(user=env.user(write="^only-this$"), password="pw")
    ch.publish(exchange, "k")
    with closes_channel(403, f"ACCESS_REFUSED - .*exchange '{exchange or 'amq.default'}' in vhost '/'",
                        (60, 40)):
        ch.dies()


@case()
def test_PUB_10_default_exchange_is_amq_default(env):
    ch = env.ch(user=env.user(write="^amq\\.default$"), password="pw")
    q = ch.declare(exclusive=True).queue
    ch.publish("", q)
    ch.sync()
    eq(count(ch, q), 1)


@case()
def test_PUB_10_topic_permission_on_routing_key(env):
    u, x = env.user(), env.name("x")
    admin = env.ch()
    admin.exchange(x, "topic")
    env.ctl("set_topic_permissions", "-p", "/", u, x, "^ok\\.", ".*")
    ch = env.ch(user=u, password="pw")
    q = ch.declare(exclusive=True).queue
    ch.bind(q, x, "#")
    ch.publish(x, "ok.1")
    ch.sync()
    eq(count(ch, q), 1)
    ch.publish(x, "bad.1")
    with closes_channel(403, f"ACCESS_REFUSED - .*'bad.1'.*exchange '{x}' in vhost '/'", (60, 40)):
        ch.dies()
    admin.xdelete(x)


# -- PUB-11..16: what ----------------------------------------------------------------------------

@case(node="short")
def test_PUB_11_max_message_size(env):
    ch = env.ch()
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere", b"x" * 5000), "ack")
    ch.publish("", "nowhere", b"x" * 5001)
    with closes_channel(406, "PRECONDITION_FAILED - .*5001.*5000", (60, 40)):
        ch.dies()


@case(table={"word": "abc", "negative": "-1", "unit": "5s", "empty": "", "float": "1.5",
             "too-large": "315360000001", "space": " 5"})
def test_PUB_12_bad_expiration(env, value):
    ch = env.ch()
    ch.publish("", "q", props={"expiration": value})
    with closes_channel(406, "PRECONDITION_FAILED - invalid expiration", (60, 40)):
        ch.dies()


@case(table={"zero": "0", "largest": "315360000000", "leading-zero": "007"})
def test_PUB_12_good_expiration(env, value):
    ch = env.ch()
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere", props={"expiration": value}), "ack")


@case()
def test_PUB_13_user_id_of_somebody_else(env):
    ch = env.ch()
    ch.publish("", "q", props={"user_id": "somebody"})
    with closes_channel(406, "PRECONDITION_FAILED - user_id property set to 'somebody' but "
                        "authenticated user was 'guest'", (60, 40)):
        ch.dies()


@case()
def test_PUB_13_own_user_id_and_impersonator(env):
    ch = env.ch()
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere", props={"user_id": "guest"}), "ack")
    ch = env.ch(user=env.user(tags=("impersonator",)), password="pw")
    ch.confirm()
    eq(ch.publish_confirmed("", "nowhere", props={"user_id": "somebody"}), "ack")


@case()
def test_PUB_14_cc_and_bcc(env):
    ch = env.ch()
    a, b, c = (ch.declare(exclusive=True).queue for _ in range(3))
    ch.publish("", a, props={"headers": {"CC": [b], "BCC": [c], "other": 1}})
    ch.sync()
    for q in (a, b, c):
        m = ch.get(q, no_ack=True)
        eq(m.headers, {"CC": [b], "other": 1}, "BCC is removed, CC stays")
        eq(m.routing_key, a)


@case()
def test_PUB_14_same_queue_through_key_and_cc_once(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props={"headers": {"CC": [q, q]}})
    ch.sync()
    eq(count(ch, q), 1)


@case(table={"CC-string": {"CC": "k"}, "CC-number": {"CC": 5}, "BCC-string": {"BCC": "k"}})
def test_PUB_14_wrong_type(env, headers):
    ch = env.ch()
    ch.publish("", "q", props={"headers": headers})
    with closes_channel(406, "PRECONDITION_FAILED - invalid message", (60, 40)):
        ch.dies()


@case()
def test_PUB_15_client_x_death_is_continued(env):
    """3.10 column: x-death of a client is interpreted, so the count goes up on a republish."""
    ch = env.ch()
    dead = ch.declare(exclusive=True).queue
    q = ch.declare(env.name(), exclusive=True, arguments={
        "x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}).queue
    ch.publish("", q)
    first = until(lambda: ch.get(dead, no_ack=True), "dead letter")
    eq(first.headers["x-death"][0]["count"], 1)
    ch.publish("", q, props={"headers": first.headers_raw})
    again = until(lambda: ch.get(dead, no_ack=True), "dead letter")
    eq([(d["queue"], d["count"]) for d in again.headers["x-death"]], [(q, 2)])


@case(node="own", oracle=False, reason="message_interceptors.* are 4.x")
def test_PUB_16_interceptors(env):
    node = env.suite.nodes.make("intercept", config=(
        "message_interceptors.incoming.set_header_timestamp.overwrite = true\n"
        "message_interceptors.incoming.set_header_routing_node.overwrite = true\n")).start()
    ch = env.ch(port=node.port)
    q = ch.declare(exclusive=True).queue
    ch.publish("", q, props={"timestamp": 5})
    m = ch.get(q, no_ack=True)
    assert m.props["timestamp"] > 1600000000, m.props
    eq(m.headers["timestamp_in_ms"] // 1000, m.props["timestamp"])
    eq(m.headers["x-routed-by"], node.name)
    node.stop()


# -- PUB-17..20: the rest ------------------------------------------------------------------------

@case()
def test_PUB_17_default_exchange_routes_by_queue_name(env):
    ch = env.ch()
    q, other = ch.declare(exclusive=True).queue, ch.declare(exclusive=True).queue
    ch.publish("", q)
    ch.sync()
    m = ch.get(q, no_ack=True)
    eq((m.exchange, m.routing_key, count(ch, other)), ("", q, 0))


@case()
def test_PUB_18_flow_active(env):
    eq(env.ch().call("channel.flow", active=True).active, True)


@case()
def test_PUB_18_flow_inactive(env):
    with closes_connection(540, "NOT_IMPLEMENTED - .*active=false", (20, 20)):
        env.ch().call("channel.flow", active=False)


@case()
def test_PUB_19_access_request(env):
    eq(env.ch().call("access.request", realm="/data", active=True).ticket, 1)


@case()
def test_PUB_20_methods_after_server_close_are_ignored(env):
    conn, other = env.conn(), env.ch()
    q, unacked = other.declare(env.name()).queue, other.declare(env.name()).queue
    other.publish("", unacked)
    until_count(other, unacked, 1)
    ch = conn.channel()
    ch.consume(unacked)
    ch.delivery()
    ch.publish("nope", "k")
    for _ in range(20):
        ch.publish("", q)
    with closes_channel(404, ids=(60, 40)):
        ch.dies()
    until_count(other, unacked, 1)
    eq(other.declare(unacked, passive=True).consumer_count, 0)
    eq(count(other, q), 0, "published after the error")
    again = Channel(conn, ch.number)
    conn.channels[ch.number] = again
    again.call("channel.open")
    again.publish("", q)
    until_count(other, q, 1)
    other.delete(q)
    other.delete(unacked)


@case()
def test_PUB_20_content_in_pieces_after_server_close(env):
    """Frames of a content that began before the error must not upset the connection."""
    conn = env.conn()
    ch = conn.channel()
    n = ch.number
    conn.send(frame(METHOD, n, method_payload("queue.declare", queue="missing", passive=True))
              + frame(METHOD, n, method_payload("basic.publish", routing_key="q"))
              + frame(CONTENT_HEADER, n, header_payload(4)) + frame(BODY, n, b"ab"))
    eq(conn.recv_method().name, "channel.close")
    conn.send(frame(BODY, n, b"cd"))
    conn.send_method(n, "channel.close-ok")
    conn.channel(n + 1).sync()
