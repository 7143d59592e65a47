"""CNS: consuming, acknowledging, prefetch, direct reply-to (features.md 1.5)."""

import collections

from harness import (ChannelClosed, bodies, case, closes_channel, closes_connection, count, drain,
                     eq, has, match, until, until_count)

QQ = {"x-queue-type": "quorum"}
BOTH = {"classic": {}, "quorum": QQ}


def _queue(env, ch, args=None, messages=0, **flags):
    """A durable queue with `messages` messages 0, 1, 2…; deleted after the test."""
    q = env.name()
    ch.declare(q, durable=True, arguments=args or {}, **flags)
    env.undo(lambda: env.ch().delete(q))
    for i in range(messages):
        ch.publish("", q, str(i), {"delivery_mode": 2})
    until_count(ch, q, messages)
    return q


# -- CNS-01..06: subscribing ---------------------------------------------------------------------

@case()
def test_CNS_01_empty_tag_and_order_of_answers(env):
    ch = env.ch()
    q = _queue(env, ch, messages=3)
    ch.send("basic.consume", queue=q)
    first = ch.wait("basic.consume-ok", "basic.deliver")
    eq(first.name, "basic.consume-ok", "first answer")
    match(first.consumer_tag, r"^amq\.ctag-[A-Za-z0-9_-]{22}$")
    eq([m.consumer_tag for m in ch.deliveries(3)], [first.consumer_tag] * 3)


@case()
def test_CNS_01_tags_are_per_channel_and_nowait(env):
    conn = env.conn()
    a, b = conn.channel(), conn.channel()
    q = _queue(env, a)
    a.send("basic.consume", queue=q, consumer_tag="same", nowait=True)
    b.consume(q, "same")
    a.publish("", q)
    a.publish("", q)
    eq((a.delivery().consumer_tag, b.delivery().consumer_tag), ("same", "same"))


@case()
def test_CNS_01_missing_queue(env):
    q = env.name()
    with closes_channel(404, f"NOT_FOUND - no queue '{q}' in vhost '/'", (60, 20)):
        env.ch().consume(q)


@case(table={"consume": (lambda ch, q: ch.consume(q), (60, 20)),
             "get": (lambda ch, q: ch.get(q), (60, 70)),
             "purge": (lambda ch, q: ch.purge(q), (50, 30))})
def test_CNS_01_needs_read(env, arg):
    q = _queue(env, env.ch())
    ch = env.ch(user=env.user(read="^no$"), password="pw")
    with closes_channel(403, f"ACCESS_REFUSED - .*queue '{q}' in vhost '/'", arg[1]):
        arg[0](ch, q)


@case()
def test_CNS_02_tag_reuse(env):
    ch = env.ch()
    q = _queue(env, ch)
    ch.consume(q, "t")
    with closes_connection(530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", (60, 20)):
        ch.consume(q, "t")


@case()
def test_CNS_02_tag_free_after_cancel(env):
    ch = env.ch()
    q = _queue(env, ch)
    ch.consume(q, "t")
    ch.cancel("t")
    eq(ch.consume(q, "t"), "t")


@case(table={"exclusive-while-consumers": (False, True), "any-while-exclusive": (True, False),
             "both": (True, True)})
def test_CNS_03_exclusive_consumer(env, arg):
    ch = env.ch()
    q = _queue(env, ch)
    ch.consume(q, exclusive=arg[0])
    with closes_channel(403, f"ACCESS_REFUSED - queue '{q}' in vhost '/' in exclusive use", (60, 20)):
        env.ch().consume(q, exclusive=arg[1])


@case()
def test_CNS_03_free_after_the_exclusive_one_leaves(env):
    ch = env.ch()
    q = _queue(env, ch)
    tag = ch.consume(q, exclusive=True)
    ch.cancel(tag)
    ch.consume(q)


@case()
def test_CNS_03_quorum_ignores_the_flag(env):
    ch = env.ch()
    q = _queue(env, ch, QQ)
    ch.consume(q, exclusive=True)
    env.ch().consume(q)
    env.ch().consume(q, exclusive=True)


@case(node="conns", oracle=False, reason="consumer_max_per_channel is 4.x")
def test_CNS_04_consumer_limit(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    tag = ch.consume(q)
    ch.consume(q)
    ch.cancel(tag)
    ch.consume(q)
    with closes_connection(530, "NOT_ALLOWED - ", (60, 20)):
        ch.consume(q)


@case()
def test_CNS_05_no_local_is_ignored(env):
    ch = env.ch()
    q = _queue(env, ch)
    ch.consume(q, no_local=True)
    ch.publish("", q)
    ch.delivery()


@case(table=BOTH)
def test_CNS_06_consumer_priority(env, args):
    """The higher is served while it has credit; then the lower."""
    ch = env.ch()
    q = _queue(env, ch, args)
    ch.qos(2)
    ch.consume(q, "low", {"x-priority": -5})
    ch.consume(q, "normal")
    ch.consume(q, "high", {"x-priority": 10})
    for i in range(7):
        ch.publish("", q, str(i))
    got = ch.deliveries(6)
    eq([m.consumer_tag for m in sorted(got, key=lambda m: m.body)],
       ["high"] * 2 + ["normal"] * 2 + ["low"] * 2)
    ch.ack([m for m in got if m.consumer_tag == "high"][0].delivery_tag)
    eq(ch.delivery().consumer_tag, "high")


@case(table=BOTH)
def test_CNS_06_equal_priority_round_robin(env, args):
    ch = env.ch()
    q = _queue(env, ch, args)
    for tag in "abc":
        ch.consume(q, tag, no_ack=False)
    for _ in range(30):
        ch.publish("", q)
        ch.sync()
    eq(collections.Counter(m.consumer_tag for m in ch.deliveries(30)), {"a": 10, "b": 10, "c": 10})


@case(table={"string": "high", "bool": True, "float": 1.5})
def test_CNS_06_invalid_priority(env, value):
    ch = env.ch()
    q = _queue(env, ch)
    with closes_channel(406, "PRECONDITION_FAILED - .*x-priority", (60, 20)):
        ch.consume(q, arguments={"x-priority": value})


# -- CNS-07..10: prefetch ------------------------------------------------------------------------

@case(table=BOTH)
def test_CNS_07_qos_applies_to_consumers_started_after(env, args):
    ch = env.ch()
    q1, q2 = _queue(env, ch, args, 10), _queue(env, ch, args, 10)
    ch.qos(2)
    ch.consume(q1, "two")
    ch.qos(5)
    ch.consume(q2, "five")
    eq(collections.Counter(m.consumer_tag for m in ch.deliveries(7)), {"two": 2, "five": 5})
    ch.nothing()


@case(table=BOTH)
def test_CNS_07_ack_gives_credit(env, args):
    ch = env.ch()
    q = _queue(env, ch, args, 5)
    ch.qos(1)
    ch.consume(q)
    for i in range(5):
        m = ch.delivery()
        eq(m.body, b"%d" % i)
        ch.nothing(0.03)
        ch.ack(m.delivery_tag)


@case()
def test_CNS_07_no_ack_ignores_prefetch(env):
    ch = env.ch()
    q = _queue(env, ch, messages=10)
    ch.qos(1)
    ch.consume(q, no_ack=True)
    ch.deliveries(10)


@case()
def test_CNS_08_global_is_shared_by_the_channel(env):
    ch = env.ch()
    q1, q2 = _queue(env, ch, messages=10), _queue(env, ch, messages=10)
    ch.qos(5, global_=True)
    ch.consume(q1)
    ch.consume(q2)
    got = ch.deliveries(5)
    ch.nothing()
    ch.ack(got[1].delivery_tag, multiple=True)
    ch.deliveries(2)
    ch.nothing(0.1)


@case()
def test_CNS_08_global_and_per_consumer_together(env):
    ch = env.ch()
    q = _queue(env, ch, messages=20)
    ch.qos(3)
    ch.qos(5, global_=True)
    ch.consume(q, "a")
    ch.consume(q, "b")
    got = collections.Counter(m.consumer_tag for m in ch.deliveries(5))
    assert max(got.values()) <= 3, got
    ch.nothing()


@case()
def test_CNS_08_raising_the_limit_takes_effect(env):
    ch = env.ch()
    q = _queue(env, ch, messages=10)
    ch.qos(2, global_=True)
    ch.consume(q)
    ch.deliveries(2)
    ch.qos(6, global_=True)
    ch.deliveries(4)
    ch.nothing(0.1)
    ch.qos(0, global_=True)
    ch.deliveries(4)


@case(table={"quorum": "quorum", "stream": "stream"})
def test_CNS_08_replicated_queue_on_such_a_channel(env, kind):
    ch = env.ch()
    q = _queue(env, ch, {"x-queue-type": kind})
    ch.qos(5)
    ch.qos(5, global_=True)
    with closes_connection(540, "NOT_IMPLEMENTED - .*global qos", (60, 20)):
        ch.consume(q)


@case()
def test_CNS_09_prefetch_size(env):
    with closes_connection(540, "NOT_IMPLEMENTED - prefetch_size!=0", (60, 10)):
        env.ch().qos(0, size=1)


@case()
def test_CNS_10_default_is_unlimited(env):
    ch = env.ch()
    q = _queue(env, ch)
    ch.consume(q)
    for _ in range(3000):
        ch.publish("", q)
    ch.deliveries(3000, timeout=30)


@case(node="advanced")
def test_CNS_10_default_consumer_prefetch(env):
    """advanced.config: {rabbit, [{default_consumer_prefetch, {false, 3}}]}."""
    ch = env.ch()
    q = _queue(env, ch, messages=10)
    ch.consume(q)
    ch.deliveries(3)
    ch.nothing()


# -- CNS-11, 12: getting messages ----------------------------------------------------------------

@case(table=BOTH)
def test_CNS_11_deliver_fields(env, args):
    conn = env.conn()
    ch = conn.channel()
    q = _queue(env, ch, args)
    ch.bind(q, "amq.topic", "a.#")
    tag = ch.consume(q, "my tag")
    for i in range(3):
        ch.publish("amq.topic", "a.b", str(i), {"message_id": str(i)})
    for i in range(3):
        m = ch.delivery()
        eq((m.consumer_tag, m.delivery_tag, m.redelivered, m.exchange, m.routing_key),
           (tag, i + 1, False, "amq.topic", "a.b"))
        eq(m.props, {"message_id": str(i)})
    other = conn.channel()
    other.publish("", q)
    other.cancel(other.consume(q))
    ch.cancel(tag)
    other.consume(q)
    other.publish("", q)
    eq(other.delivery().delivery_tag, 1, "tags are per channel")


@case(table=BOTH)
def test_CNS_12_get(env, args):
    ch = env.ch()
    q = _queue(env, ch, args, 3)
    m = ch.get(q)
    eq((m.delivery_tag, m.redelivered, m.exchange, m.routing_key, m.message_count, m.body),
       (1, False, "", q, 2, b"0"))
    eq(ch.get(q, no_ack=True).message_count, 1)
    eq(ch.get(q).delivery_tag, 3)
    eq(ch.get(q), None)


@case(table={"classic": {}, "quorum": QQ})
def test_CNS_12_get_on_single_active_queue(env, args):
    """asked RabbitMQ 3.10.8: classic is fine; a quorum queue refuses with 405."""
    ch = env.ch()
    q = _queue(env, ch, {**args, "x-single-active-consumer": True}, 1)
    if not args:
        eq(ch.get(q).body, b"0")
        return
    with closes_channel(405, f"RESOURCE_LOCKED - .*'{q}'", (60, 70)):
        ch.get(q)


@case()
def test_CNS_12_get_on_stream(env):
    ch = env.ch()
    q = _queue(env, ch, {"x-queue-type": "stream"})
    with closes_connection(540, "NOT_IMPLEMENTED - ", (60, 70)):
        ch.get(q)


@case()
def test_CNS_12_get_missing(env):
    with closes_channel(404, "NOT_FOUND - no queue", (60, 70)):
        env.ch().get(env.name())


# -- CNS-13..16: acknowledging -------------------------------------------------------------------

@case(table={"never-delivered": (lambda ch: ch.ack(5), (60, 80), 5),
             "repeated": (lambda ch: (ch.ack(1), ch.ack(1)), (60, 80), 1),
             "no-ack-delivery": (lambda ch: ch.ack(2), (60, 80), 2),
             "reject": (lambda ch: ch.reject(7), (60, 90), 7),
             "nack": (lambda ch: ch.nack(8), (60, 120), 8),
             "multiple-beyond": (lambda ch: ch.ack(9, multiple=True), (60, 80), 9),
             "zero-single": (lambda ch: ch.ack(0), (60, 80), 0)})
def test_CNS_13_unknown_delivery_tag(env, arg):
    ch = env.ch()
    q = _queue(env, ch, messages=2)
    ch.get(q)
    ch.get(q, no_ack=True)
    arg[0](ch)
    with closes_channel(406, f"PRECONDITION_FAILED - unknown delivery tag {arg[2]}$", arg[1]):
        ch.dies()


@case(table=BOTH)
def test_CNS_13_multiple_and_zero(env, args):
    ch, other = env.ch(), env.ch()
    q = _queue(env, ch, args, 6)
    for _ in range(6):
        ch.get(q)
    ch.ack(2)
    ch.ack(4, multiple=True)
    ch.sync()
    ch.ack(0, multiple=True)
    ch.sync()
    ch.ack(0, multiple=True)
    ch.sync()
    ch.close()
    eq(count(other, q), 0)
    other.sync()
    eq(count(other, q), 0)


@case()
def test_CNS_13_multiple_leaves_later_ones(env):
    ch, other = env.ch(), env.ch()
    q = _queue(env, ch, messages=5)
    for _ in range(5):
        ch.get(q)
    ch.ack(3, multiple=True)
    ch.close()
    until_count(other, q, 2)
    eq(bodies(drain(other, q)), ["3", "4"])


@case()
def test_CNS_13_ack_on_another_channel(env):
    conn = env.conn()
    a, b = conn.channel(), conn.channel()
    q = _queue(env, a, messages=1)
    tag = a.get(q).delivery_tag
    b.ack(tag)
    with closes_channel(406, "PRECONDITION_FAILED - unknown delivery tag 1"):
        b.dies()
    a.ack(tag)
    a.sync()


@case(table={"reject": lambda ch, t: ch.reject(t, requeue=False),
             "nack": lambda ch, t: ch.nack(t, requeue=False)})
def test_CNS_14_requeue_false_drops(env, end):
    ch = env.ch()
    q = _queue(env, ch, messages=1)
    end(ch, ch.get(q).delivery_tag)
    ch.close()
    other = env.ch()
    eq(count(other, q), 0)


@case(table={f"{k}-{n}": (a, f) for k, a in BOTH.items() for n, f in
             {"reject": lambda ch, t: ch.reject(t), "nack": lambda ch, t: ch.nack(t)}.items()})
def test_CNS_14_requeue_true_returns(env, arg):
    ch = env.ch()
    q = _queue(env, ch, arg[0], 1)
    arg[1](ch, ch.get(q).delivery_tag)
    until_count(ch, q, 1)
    m = ch.get(q)
    eq((m.body, m.redelivered, m.delivery_tag), (b"0", True, 2))


@case()
def test_CNS_14_nack_multiple(env):
    ch = env.ch()
    q = _queue(env, ch, messages=5)
    for _ in range(4):
        ch.get(q)
    ch.ack(2)
    ch.nack(3, multiple=True)
    until_count(ch, q, 3)
    eq(bodies(drain(ch, q)), ["0", "2", "4"])
    ch.nack(0, multiple=True)
    until_count(ch, q, 1)


@case()
def test_CNS_15_classic_original_position(env):
    ch = env.ch()
    q = _queue(env, ch, messages=10)
    for _ in range(6):
        ch.get(q)
    for tag in (4, 2, 5):
        ch.nack(tag)
    until_count(ch, q, 7)
    eq(bodies(drain(ch, q)), ["1", "3", "4", "6", "7", "8", "9"])


@case()
def test_CNS_15_quorum_in_the_order_returned(env):
    """asked RabbitMQ 3.10.8: returned ones go behind the ready ones; 4.x serves them first."""
    ch = env.ch()
    q = _queue(env, ch, QQ, 10)
    for _ in range(6):
        ch.get(q)
    for tag in (4, 2, 5):
        ch.nack(tag)
    until_count(ch, q, 7)
    got, back, ready = bodies(drain(ch, q)), ["3", "1", "4"], ["6", "7", "8", "9"]
    assert got in (back + ready, ready + back), got


@case(table=BOTH)
def test_CNS_15_channel_loss_returns_in_order(env, args):
    ch, other = env.ch(), env.ch()
    q = _queue(env, ch, args, 10)
    ch.consume(q)
    ch.deliveries(10)
    ch.ack(3)
    ch.sync()
    ch.conn.shut()
    until_count(other, q, 9)
    eq(bodies(drain(other, q)), [str(i) for i in range(10) if i != 2])


@case(table=BOTH)
def test_CNS_16_recover_requeue(env, args):
    ch = env.ch()
    q = _queue(env, ch, args, 3)
    ch.consume(q)
    eq(bodies(ch.deliveries(3)), ["0", "1", "2"])
    ch.ack(1)
    ch.call("basic.recover", requeue=True)
    again = ch.deliveries(2)
    eq([(m.body, m.redelivered) for m in again], [(b"1", True), (b"2", True)])


@case()
def test_CNS_16_recover_async(env):
    ch = env.ch()
    q = _queue(env, ch, messages=1)
    ch.get(q)
    ch.send("basic.recover-async", requeue=True)
    until_count(ch, q, 1)
    eq([m.name for m in ch.inbox], [], "no reply")


@case(table={"recover": ("basic.recover", (60, 110)), "async": ("basic.recover-async", (60, 100))})
def test_CNS_16_requeue_false(env, arg):
    ch = env.ch()
    ch.send(arg[0], requeue=False)
    with closes_connection(540, "NOT_IMPLEMENTED - ", arg[1]):
        ch.dies()


# -- CNS-17..19: redelivery ----------------------------------------------------------------------

WAYS = {"reject": lambda ch, t: ch.reject(t), "nack": lambda ch, t: ch.nack(t),
        "recover": lambda ch, t: ch.call("basic.recover", requeue=True),
        "channel-close": lambda ch, t: ch.close(), "connection-close": lambda ch, t: ch.conn.close(),
        "connection-cut": lambda ch, t: ch.conn.shut()}


@case(table={f"{way}-{kind}": (f, a) for way, f in WAYS.items() for kind, a in BOTH.items()})
def test_CNS_17_19_returned_message(env, arg):
    """redelivered is set after every way of return; on quorum every return counts (3.10 column)."""
    ch, other = env.ch(), env.ch()
    q = _queue(env, other, arg[1], 1)
    m = ch.get(q)
    eq(m.redelivered, False)
    arg[0](ch, m.delivery_tag)
    until_count(other, q, 1)
    m = other.get(q)
    eq((m.redelivered, m.headers), (True, {"x-delivery-count": 1} if arg[1] else {}))


@case()
def test_CNS_18_delivery_count_header(env):
    ch = env.ch()
    q = _queue(env, ch, QQ)
    ch.publish("", q, props={"headers": {"mine": "x"}})
    ch.consume(q)
    seen = []
    for _ in range(4):
        m = ch.delivery()
        eq(m.headers["mine"], "x")
        seen.append(m.headers.get("x-delivery-count"))
        ch.reject(m.delivery_tag)
    eq(seen, [None, 1, 2, 3])


# -- CNS-20..22: the end of a consumer -----------------------------------------------------------

@case(table=BOTH)
def test_CNS_20_cancel_on_queue_deletion(env, args):
    ch, q = env.ch(), env.name()
    ch.declare(q, durable=True, arguments=args)
    tag = ch.consume(q)
    env.ch().delete(q)
    m = ch.wait("basic.cancel")
    eq((m.consumer_tag, m.nowait), (tag, True))
    eq(ch.cancel(tag), tag, "cancel of a cancelled consumer")


@case()
def test_CNS_21_unknown_tag(env):
    eq(env.ch().cancel("x"), "x")


@case()
def test_CNS_21_nowait(env):
    ch = env.ch()
    q = _queue(env, ch)
    tag = ch.consume(q)
    ch.send("basic.cancel", consumer_tag=tag, nowait=True)
    ch.publish("", q)
    ch.sync()
    eq([m.name for m in ch.inbox], [])
    until_count(ch, q, 1)


@case(table=BOTH)
def test_CNS_21_unacked_deliveries_stay_valid(env, args):
    ch = env.ch()
    q = _queue(env, ch, args, 2)
    tag = ch.consume(q)
    first, second = ch.deliveries(2)
    ch.cancel(tag)
    ch.ack(first.delivery_tag)
    ch.reject(second.delivery_tag)
    until_count(ch, q, 1)
    eq(bodies(drain(ch, q)), ["1"])


@case(node="short", table=BOTH)
def test_CNS_22_consumer_timeout(env, args):
    ch = env.ch()
    q = _queue(env, ch, args, 1)
    ch.consume(q)
    ch.delivery()
    with closes_channel(406, f"PRECONDITION_FAILED - delivery acknowledgement on channel {ch.number} "
                        "timed out"):
        ch.dies(10)
    until_count(env.ch(), q, 1)


@case(oracle=False, reason="3.10 has no timeout of a queue's own (3.12 does)")
def test_QUE_28_consumer_timeout_of_a_queue(env):
    ch = env.ch()
    q = _queue(env, ch, {"x-consumer-timeout": 1000}, 1)
    ch.consume(q)
    ch.delivery()
    with closes_channel(406, f"PRECONDITION_FAILED - delivery acknowledgement on channel {ch.number} "
                        "timed out. Timeout value used: 1000 ms"):
        ch.dies(10)
    until_count(env.ch(), q, 1)


# -- CNS-23, 24: direct reply-to -----------------------------------------------------------------

REPLY = "amq.rabbitmq.reply-to"


@case()
def test_CNS_23_call_and_answer(env):
    client, server = env.ch(), env.ch()
    q = _queue(env, server)
    client.consume(REPLY, no_ack=True)
    client.publish("", q, "ask", {"reply_to": REPLY, "correlation_id": "7"})
    ask = until(lambda: server.get(q, no_ack=True), "request")
    address = ask.props["reply_to"]
    match(address, rf"^{REPLY}\..+")
    server.publish("", address, "answer", {"correlation_id": "7"})
    m = client.delivery()
    eq((m.body, m.props["correlation_id"], m.exchange, m.routing_key), (b"answer", "7", "", address))


@case()
def test_CNS_23_needs_no_ack(env):
    with closes_channel(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge", (60, 20)):
        env.ch().consume(REPLY)


@case()
def test_CNS_23_second_consumer_on_the_channel(env):
    ch = env.ch()
    ch.consume(REPLY, no_ack=True)
    with closes_channel(406, "PRECONDITION_FAILED - reply consumer already set", (60, 20)):
        ch.consume(REPLY, no_ack=True)


@case()
def test_CNS_23_publish_before_consuming(env):
    ch = env.ch()
    ch.publish("", "q", props={"reply_to": REPLY})
    with closes_channel(406, "PRECONDITION_FAILED - fast reply consumer does not exist", (60, 40)):
        ch.dies()


@case()
def test_CNS_23_requester_gone_is_unroutable(env):
    client, server = env.ch(), env.ch()
    q = _queue(env, server)
    client.consume(REPLY, no_ack=True)
    client.publish("", q, props={"reply_to": REPLY})
    address = until(lambda: server.get(q, no_ack=True), "request").props["reply_to"]
    client.conn.close()

    def returned():
        server.publish("", address, mandatory=True)
        server.sync()
        return any(m.name == "basic.return" for m in server.inbox)
    until(returned, "basic.return")


@case()
def test_CNS_23_cancel_and_consume_again(env):
    ch = env.ch()
    tag = ch.consume(REPLY, no_ack=True)
    ch.cancel(tag)
    ch.consume(REPLY, no_ack=True)


@case()
def test_CNS_24_declare_of_a_live_address(env):
    client, server = env.ch(), env.ch()
    q = _queue(env, server)
    client.consume(REPLY, no_ack=True)
    client.publish("", q, props={"reply_to": REPLY})
    address = until(lambda: server.get(q, no_ack=True), "request").props["reply_to"]
    for flags in (dict(passive=True), dict(passive=False)):
        ok = server.declare(address, **flags)
        eq((ok.queue, ok.message_count, ok.consumer_count), (address, 0, 1))
    client.close()

    def gone():
        ch = env.ch()
        try:
            ch.declare(address, passive=True)
        except ChannelClosed as error:
            return error.code == 404
        return False
    until(gone, "404 once the requester is gone")


@case()
def test_CNS_24_declare_of_the_bare_name(env):
    eq(env.ch().declare(REPLY, passive=True).queue, REPLY)


@case()
def test_CNS_24_declare_of_a_made_up_address(env):
    with closes_channel(404, "NOT_FOUND - no queue", (50, 10)):
        env.ch().declare(REPLY + ".bogus", passive=True)


# -- CNS-25: listing -----------------------------------------------------------------------------

@case(table=BOTH)
def test_CNS_25_activity_status(env, args):
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.declare("s", durable=True, arguments={**args, "x-single-active-consumer": True})
    ch.declare("n", durable=True, arguments=args)
    for tag in "abc":
        ch.consume("s", tag)
    ch.qos(7)
    ch.consume("n", "plain", {"x-priority": 3}, no_ack=False)
    rows = env.rows("list_consumers", "queue_name", "consumer_tag", "active", "activity_status",
                    "ack_required", "prefetch_count", "arguments", vhost=v)
    got = {r["consumer_tag"]: (r["queue_name"], r["active"], r["activity_status"]) for r in rows}
    eq(got, {"a": ("s", True, "single_active"), "b": ("s", False, "waiting"),
             "c": ("s", False, "waiting"), "plain": ("n", True, "up")})
    plain = next(r for r in rows if r["consumer_tag"] == "plain")
    eq((plain["ack_required"], plain["prefetch_count"]), (True, 7))
    has(str(plain["arguments"]), "x-priority")
