"""DLX: dead letters (features.md 1.6)."""

import re
import time

from amqp_wire import decode_table
from harness import bodies, case, count, drain, eq, has, until, until_count

QQ = {"x-queue-type": "quorum"}
BOTH = {"classic": {}, "quorum": QQ}


def _pair(env, ch, args=None, key=True):
    """A queue that dead-letters into another; returns (queue, target)."""
    dead = ch.declare(env.name("dead"), exclusive=True).queue
    full = {"x-dead-letter-exchange": "", **(args or {})}
    if key:
        full["x-dead-letter-routing-key"] = dead
    q = env.name()
    ch.declare(q, durable=True, arguments=full)
    env.undo(lambda: env.ch().delete(q))
    return q, dead


def _take(ch, q):
    return until(lambda: ch.get(q, no_ack=True), f"a message in {q}")


def _reject(ch, q):
    ch.reject(until(lambda: ch.get(q), f"a message in {q}").delivery_tag, requeue=False)


REASONS = {
    "rejected": ({}, {}, lambda ch, q: _reject(ch, q)),
    "expired": ({"x-message-ttl": 50}, {}, lambda ch, q: None),
    "expired-by-message": ({}, {"expiration": "50"}, lambda ch, q: None),
    "maxlen": ({"x-max-length": 1}, {}, lambda ch, q: ch.publish("", q, "second")),
    "maxlen-bytes": ({"x-max-length-bytes": 8}, {}, lambda ch, q: ch.publish("", q, "second")),
}


@case(table={f"{n}-{k}": (*r, a, n) for n, r in REASONS.items() for k, a in BOTH.items()})
def test_DLX_01_reasons_and_02_x_death(env, arg):
    args, props, act, kind, name = arg
    ch = env.ch()
    q, dead = _pair(env, ch, {**args, **kind})
    begin = int(time.time())
    ch.publish("", q, "first", {"headers": {"mine": 1}, **props})
    act(ch, q)
    m = _take(ch, dead)
    reason = name.split("-")[0]
    eq((m.body, m.headers["mine"]), (b"first", 1))
    death = m.headers["x-death"]
    eq(len(death), 1)
    stamp = death[0].pop("time")
    assert begin - 1 <= stamp <= time.time() + 1, stamp
    want = {"queue": q, "reason": reason, "count": 1, "exchange": "", "routing-keys": [q]}
    if "expiration" in props:
        want["original-expiration"] = "50"
    eq(death[0], want)
    eq([m.headers[f"x-first-death-{k}"] for k in ("reason", "queue", "exchange")], [reason, q, ""])


@case()
def test_DLX_01_delivery_limit(env):
    ch = env.ch()
    q, dead = _pair(env, ch, {**QQ, "x-delivery-limit": 1})
    ch.publish("", q)
    for _ in range(2):
        ch.reject(until(lambda: ch.get(q), "message").delivery_tag, requeue=True)
    eq(_take(ch, dead).headers["x-death"][0]["reason"], "delivery_limit")


@case()
def test_DLX_02_field_types(env):
    """count is a 64-bit integer, time a timestamp, x-death an array of tables."""
    ch = env.ch()
    q, dead = _pair(env, ch)
    ch.publish("", q, props={"expiration": "10"})
    table = decode_table(_take(ch, dead).headers_raw, typed=True)
    eq(table["x-death"].tag, "A")
    entry = table["x-death"].value[0]
    eq(entry.tag, "F")
    eq({k: v.tag for k, v in entry.value.items()},
       {"count": "l", "exchange": "S", "queue": "S", "reason": "S", "routing-keys": "A", "time": "T",
        "original-expiration": "S"})
    eq(table["x-first-death-queue"].tag, "S")


@case()
def test_DLX_02_two_hops_newest_first_and_count(env):
    """Two queues send a message round: one entry each, the last one first, counts go up."""
    ch = env.ch()
    a, b = env.name("a"), env.name("b")
    ch.declare(a, exclusive=True, arguments={"x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": b})
    ch.declare(b, exclusive=True, arguments={"x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": a})
    ch.publish("", a)
    shape = []
    for q in (a, b, a, b, a):
        m = until(lambda q=q: ch.get(q), "message")
        shape.append([(d["queue"], d["count"]) for d in m.headers.get("x-death", [])])
        ch.reject(m.delivery_tag, requeue=False)
    eq(shape, [[], [(a, 1)], [(b, 1), (a, 1)], [(a, 2), (b, 1)], [(b, 2), (a, 2)]])


@case()
def test_DLX_02_other_reason_is_another_entry(env):
    ch = env.ch()
    q = env.name()
    ch.declare(q, exclusive=True, arguments={"x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": q})
    ch.publish("", q, props={"expiration": "60000"})
    _reject(ch, q)
    m = until(lambda: ch.get(q), "message")
    eq([(d["queue"], d["reason"], d["count"]) for d in m.headers["x-death"]], [(q, "rejected", 1)])
    ch.reject(m.delivery_tag, requeue=False)
    m = until(lambda: ch.get(q), "message")
    eq([(d["reason"], d["count"]) for d in m.headers["x-death"]], [("rejected", 2)])


@case()
def test_DLX_03_first_death_is_set_once_and_04_last_death_is_absent(env):
    """3.10 column: x-last-death-* does not exist there; Warren may set it (4.x)."""
    ch = env.ch()
    end = ch.declare(env.name("end"), exclusive=True).queue
    b, a = env.name("b"), env.name("a")
    ch.declare(b, exclusive=True, arguments={"x-message-ttl": 20, "x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": end})
    ch.declare(a, exclusive=True, arguments={"x-dead-letter-exchange": "amq.direct",
                                             "x-dead-letter-routing-key": b})
    ch.bind(b, "amq.direct", b)
    ch.bind(a, "amq.direct", a)
    ch.publish("amq.direct", a)
    _reject(ch, a)
    h = _take(ch, end).headers
    eq([h[f"x-first-death-{k}"] for k in ("reason", "queue", "exchange")],
       ["rejected", a, "amq.direct"])
    eq([(d["queue"], d["reason"], d["exchange"], d["routing-keys"]) for d in h["x-death"]],
       [(b, "expired", "amq.direct", [b]), (a, "rejected", "amq.direct", [a])])
    if env.oracle:
        assert not [k for k in h if k.startswith("x-last-death")], h


@case(oracle=False, reason="x-last-death-* came with 3.13")
def test_DLX_04_last_death_is_updated(env):
    ch = env.ch()
    end = ch.declare(env.name("end"), exclusive=True).queue
    b, a = env.name("b"), env.name("a")
    ch.declare(b, exclusive=True, arguments={"x-message-ttl": 20, "x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": end})
    ch.declare(a, exclusive=True, arguments={"x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": b})
    ch.publish("", a)
    _reject(ch, a)
    h = _take(ch, end).headers
    eq([h[f"x-first-death-{k}"] for k in ("reason", "queue", "exchange")], ["rejected", a, ""])
    eq([h[f"x-last-death-{k}"] for k in ("reason", "queue", "exchange")], ["expired", b, ""])


@case(table={"with-key": True, "without-key": False})
def test_DLX_05_properties(env, with_key):
    """expiration goes (kept in x-death), CC goes only with a key of the queue, the rest stays."""
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "fanout", auto_delete=True)
    end = ch.declare(exclusive=True).queue
    ch.bind(end, x)
    args = {"x-dead-letter-exchange": x}
    if with_key:
        args["x-dead-letter-routing-key"] = "newkey"
    q = ch.declare(env.name(), exclusive=True, arguments=args).queue
    cc = ch.declare(env.name(), exclusive=True).queue
    props = {"expiration": "60000", "delivery_mode": 2, "priority": 3, "message_id": "m",
             "headers": {"CC": [cc], "BCC": ["hidden"], "mine": "x"}}
    ch.publish("", q, "body", props)
    _reject(ch, q)
    m = _take(ch, end)
    eq((m.body, m.exchange, m.routing_key), (b"body", x, "newkey" if with_key else q))
    eq({k: v for k, v in m.props.items() if k != "headers"},
       {"delivery_mode": 2, "priority": 3, "message_id": "m"})
    eq((m.headers.get("CC"), "BCC" in m.headers, m.headers["mine"]),
       (None if with_key else [cc], False, "x"))
    death = m.headers["x-death"][0]
    eq((death["original-expiration"], death["routing-keys"]), ("60000", [q, cc]))


@case()
def test_DLX_06_automatic_cycle_is_dropped(env):
    """A queue that dead-letters to itself by TTL: the message goes round no second time."""
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=True, arguments={"x-message-ttl": 50, "x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": q})
    seen = len(env.node.log_text())
    ch.confirm()
    eq(ch.publish_confirmed("", q), "ack")
    until_count(ch, q, 0)
    time.sleep(0.2)  # a return that must not happen has no event
    eq(count(ch, q), 0)
    until(lambda: re.search("(?i)cycle|dead-lettering", env.node.log_text()[seen:]),
          "a log line about the cycle")


@case()
def test_DLX_06_cycle_with_a_reject_goes_on(env):
    ch, q, back = env.ch(), env.name(), env.name("back")
    ch.declare(q, exclusive=True, arguments={"x-dead-letter-exchange": "",
                                             "x-dead-letter-routing-key": back})
    ch.declare(back, exclusive=True, arguments={"x-message-ttl": 20, "x-dead-letter-exchange": "",
                                                "x-dead-letter-routing-key": q})
    ch.publish("", q)
    for _ in range(5):
        _reject(ch, q)
    m = _take(ch, q)
    eq(sorted((d["queue"], d["count"]) for d in m.headers["x-death"]), sorted([(q, 5), (back, 5)]))


@case(table={"missing": True, "unroutable": False})
def test_DLX_07_target_missing(env, missing):
    ch, x = env.ch(), env.name("x")
    if not missing:
        ch.exchange(x, "direct")
        env.undo(lambda: env.ch().xdelete(x))
    q = ch.declare(env.name(), exclusive=True, arguments={"x-dead-letter-exchange": x}).queue
    ch.publish("", q, "lost")
    _reject(ch, q)
    ch.publish("", q, "next")
    eq(_take(ch, q).body, b"next")
    eq(count(ch, q), 0)


@case(oracle=False, reason="3.10.8 tries again when routes change or after minutes, and only with a stream-era flag")
def test_DLX_07_target_missing_at_least_once(env):
    """QUE-21: kept until a queue has it, and not delivered to anybody else meanwhile."""
    ch, x, q = env.ch(), env.name("x"), env.name()
    ch.declare(q, durable=True, arguments={
        "x-queue-type": "quorum", "x-dead-letter-exchange": x, "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish"})
    env.undo(lambda: env.ch().delete(q))
    ch.publish("", q, "kept")
    _reject(ch, q)
    ch.publish("", q, "next")
    eq(_take(ch, q).body, b"next")
    ch.exchange(x, "fanout")
    env.undo(lambda: env.ch().xdelete(x))
    dead = ch.declare(exclusive=True).queue
    ch.bind(dead, x, "")
    m = until(lambda: ch.get(dead, no_ack=True), "the kept message")
    eq((m.body, m.headers["x-death"][0]["reason"]), (b"kept", "rejected"))
    until(lambda: [q, "0"] in [line.split() for line in
                               env.node.ctl("list_queues", "name", "messages").out.splitlines()],
          "the original removed, which counts as a message until then")
    eq(ch.get(dead), None)


@case(oracle=False, reason="3.10.8 tries again after minutes, and only with a stream-era flag")
def test_DLX_08_each_target_gets_a_kept_message_once(env):
    """Two targets, one of them full: the other does not get it with every attempt."""
    ch, x, q = env.ch(), env.name("x"), env.name()
    ch.exchange(x, "fanout")
    env.undo(lambda: env.ch().xdelete(x))
    ch.declare(q, durable=True, arguments={
        "x-queue-type": "quorum", "x-dead-letter-exchange": x, "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish"})
    env.undo(lambda: env.ch().delete(q))
    free = ch.declare(exclusive=True).queue
    full = ch.declare(exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}).queue
    ch.publish("", full, "in the way")
    for target in (free, full):
        ch.bind(target, x, "")
    ch.publish("", q, "kept")
    _reject(ch, q)
    until_count(ch, free, 1)
    eq(_take(ch, full).body, b"in the way")
    eq(_take(ch, full).body, b"kept")
    until(lambda: [q, "0"] in [line.split() for line in
                               env.node.ctl("list_queues", "name", "messages").out.splitlines()],
          "the original removed")
    eq(count(ch, free), 1)


@case()
def test_DLX_01_policy_sets_the_target(env):
    ch = env.ch()
    end, q = ch.declare(exclusive=True).queue, env.name()
    ch.declare(q, exclusive=True)
    env.policy(f"^{q}$", {"dead-letter-exchange": "", "dead-letter-routing-key": end},
               apply_to="queues")

    def arrives():
        ch.publish("", q)
        _reject(ch, q)
        return ch.get(end, no_ack=True)
    m = until(arrives, "the policy to take effect")
    has(str(m.headers), "rejected")


@case()
def test_DLX_01_max_length_keeps_order(env):
    ch = env.ch()
    q, dead = _pair(env, ch, {"x-max-length": 5})
    for i in range(50):
        ch.publish("", q, str(i))
    until_count(ch, dead, 45)
    eq(bodies(drain(ch, dead)), [str(i) for i in range(45)])
