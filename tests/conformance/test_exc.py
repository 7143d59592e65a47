"""EXC: exchanges, bindings, routing (features.md 1.3)."""

import collections

from amqp_wire import Typed
from harness import (ChannelClosed, WaitTimeout, bodies, case, closes_channel, closes_connection, count, drain, eq, has, match,
                     until)


def _reopen(env, ch):
    """A fresh channel on the same connection after a channel error."""
    return ch.conn.channel(max(ch.conn.channels) + 1)


# -- EXC-01..07: life of an exchange -------------------------------------------------------------

@case()
def test_EXC_01_predeclared(env):
    v = env.vhost()
    rows = env.rows("list_exchanges", "name", "type", "durable", "internal", "auto_delete", vhost=v)
    got = {r["name"]: (r["type"], r["durable"], r["internal"], r["auto_delete"]) for r in rows}
    want = {"": "direct", "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic",
            "amq.headers": "headers", "amq.match": "headers", "amq.rabbitmq.trace": "topic"}
    eq(got, {n: (t, True, n == "amq.rabbitmq.trace", False) for n, t in want.items()})


@case()
def test_EXC_02_unknown_type(env):
    """asked RabbitMQ 3.10.8: 503 closes the connection; ours closes the channel as 4.x does (406)."""
    if env.oracle:
        with closes_connection(503, "COMMAND_INVALID - unknown exchange type 'nope'", (40, 10)):
            env.ch().exchange(env.name("x"), "nope")
        return
    with closes_channel(406, "PRECONDITION_FAILED - .*exchange type 'nope'", (40, 10)):
        env.ch().exchange(env.name("x"), "nope")


BASE = dict(type="direct", durable=False, auto_delete=False, internal=False)


@case(table={"type": dict(type="fanout"), "durable": dict(durable=True),
             "auto_delete": dict(auto_delete=True), "internal": dict(internal=True),
             "alternate-exchange": dict(arguments={"alternate-exchange": "amq.fanout"})})
def test_EXC_03_redeclare_different(env, change):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, **BASE)
    arg = next(iter(change))
    arg = "alternate-exchange" if arg == "arguments" else arg
    with closes_channel(406, f"PRECONDITION_FAILED - inequivalent arg '{arg}' for exchange '{x}' "
                        "in vhost '/': received", (40, 10)):
        ch.exchange(x, **{**BASE, **change})


@case()
def test_EXC_03_redeclare_same_and_other_arguments(env):
    ch, x = env.ch(), env.name("x")
    args = {"alternate-exchange": "amq.fanout"}
    ch.exchange(x, **BASE, arguments={**args, "some": 1})
    ch.exchange(x, **BASE, arguments={**args, "some": 1})
    ch.exchange(x, **BASE, arguments={**args, "some": 2, "else": "x"})
    ch.exchange("amq.direct", "direct", durable=True)
    ch.xdelete(x)


@case(table={"declare-amq": lambda ch: ch.exchange("amq.foo", "direct"),
             "delete-amq": lambda ch: ch.xdelete("amq.direct"),
             "delete-default": lambda ch: ch.xdelete(""),
             "declare-default": lambda ch: ch.exchange("", "direct", durable=True),
             "bind-default": lambda ch: ch.bind(ch.declare(exclusive=True).queue, "", "k"),
             "unbind-default": lambda ch: ch.unbind(ch.declare(exclusive=True).queue, "", "k"),
             "xbind-from-default": lambda ch: ch.xbind("amq.direct", "", "k"),
             "xbind-to-default": lambda ch: ch.xbind("", "amq.direct", "k")})
def test_EXC_04_reserved_names(env, action):
    with closes_channel(403, "ACCESS_REFUSED - "):
        action(env.ch())


@case()
def test_EXC_04_cr_lf_are_stripped(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x[:3] + "\r\n" + x[3:] + "\n", "direct", auto_delete=True)
    ch.exchange(x, "direct", passive=True)
    ch.xdelete(x)


@case()
def test_EXC_05_passive_missing(env):
    x = env.name("x")
    with closes_channel(404, f"NOT_FOUND - no exchange '{x}' in vhost '/'", (40, 10)):
        env.ch().exchange(x, "direct", passive=True)


@case()
def test_EXC_05_passive_needs_no_permission_and_ignores_type(env):
    """3.10 column: no permission check; type and flags of a passive declare are ignored.

    asked RabbitMQ 3.10.8: the default exchange is refused here too, with 403.
    """
    ch = env.ch(user=env.user("^$", "^$", "^$"), password="pw")
    ch.exchange("amq.topic", "no-such-type", passive=True)
    with closes_channel(403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
        ch.exchange("", "direct", passive=True)


@case()
def test_EXC_06_delete_missing_is_fine(env):
    env.ch().xdelete(env.name("x"))


@case(table={"queue": False, "exchange": True})
def test_EXC_06_if_unused(env, to_exchange):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "fanout")
    if to_exchange:
        ch.exchange(x + "-d", "fanout")
        ch.xbind(x + "-d", x)
    else:
        ch.bind(ch.declare(exclusive=True).queue, x)
    with closes_channel(406, f"PRECONDITION_FAILED - exchange '{x}' in vhost '/' in use", (40, 20)):
        ch.xdelete(x, if_unused=True)
    ch = _reopen(env, ch)
    ch.xdelete(x)
    ch.xdelete(x + "-d", if_unused=True)


@case()
def test_EXC_07_auto_delete_after_last_binding_as_source(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "fanout", auto_delete=True)
    ch.exchange(x, "fanout", passive=True)
    ch.exchange(x + "-up", "fanout")
    ch.xbind(x, x + "-up")
    ch.xunbind(x, x + "-up")
    ch.exchange(x, "fanout", passive=True)
    a, b = (ch.declare(exclusive=True).queue for _ in range(2))
    ch.bind(a, x)
    ch.bind(b, x)
    ch.unbind(a, x)
    ch.exchange(x, "fanout", passive=True)
    ch.delete(b)
    ch.xdelete(x + "-up")
    with closes_channel(404):
        ch.exchange(x, "fanout", passive=True)


# -- EXC-08, 09: exchanges among themselves ------------------------------------------------------

@case()
def test_EXC_08_alternate_exchange_chain(env):
    ch, x = env.ch(), env.name("x")
    q = ch.declare(exclusive=True).queue
    ch.exchange(x + "2", "direct", arguments={"alternate-exchange": x + "3"})
    ch.exchange(x + "3", "fanout")
    ch.exchange(x + "1", "direct", arguments={"alternate-exchange": x + "2"})
    ch.bind(q, x + "3")
    ch.publish(x + "1", "nokey", "m")
    ch.sync()
    m = ch.get(q, no_ack=True)
    eq((m.exchange, m.routing_key), (x + "1", "nokey"))
    for n in "123":
        ch.xdelete(x + n)


@case()
def test_EXC_08_alternate_exchange_cycle_and_missing(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x + "1", "direct", arguments={"alternate-exchange": x + "2"})
    ch.exchange(x + "2", "direct", arguments={"alternate-exchange": x + "1"})
    ch.exchange(x + "3", "direct", arguments={"alternate-exchange": "missing-" + x})
    ch.confirm()
    for n in "123":
        ch.publish(x + n, "k", mandatory=True)
        eq(ch.wait("basic.return", "basic.ack").name, "basic.return")
        ch.wait("basic.ack")
    for n in "123":
        ch.xdelete(x + n)


@case()
def test_EXC_08_by_policy(env):
    ch, x = env.ch(), env.name("x")
    q = ch.declare(exclusive=True).queue
    ch.exchange(x, "direct")
    env.policy(f"^{x}$", {"alternate-exchange": "amq.fanout"}, apply_to="exchanges")
    ch.bind(q, "amq.fanout")

    def arrives():
        ch.publish(x, "k")
        ch.sync()
        return count(ch, q)
    until(arrives, "the policy to take effect")
    ch.xdelete(x)


@case(table={"number": 5, "bool": True})
def test_EXC_08_wrong_type(env, value):
    with closes_channel(406, "PRECONDITION_FAILED - .*'alternate-exchange'", (40, 10)):
        env.ch().exchange(env.name("x"), "direct", arguments={"alternate-exchange": value})


@case(table={"no-read-on-x": ("^ae", "^ok"), "no-write-on-ae": ("^ok", "^x")})
def test_EXC_08_needs_read_on_x_and_write_on_ae(env, perms):
    ch = env.ch(user=env.user(write=perms[0], read=perms[1]), password="pw")
    with closes_channel(403, "ACCESS_REFUSED - ", (40, 10)):
        ch.exchange(env.name("x"), "direct", arguments={"alternate-exchange": "ae-1"})


@case()
def test_EXC_09_diamond_gives_each_queue_one_copy(env):
    ch, x = env.ch(), env.name("x")
    q = ch.declare(exclusive=True).queue
    for n in "abcd":
        ch.exchange(x + n, "fanout")
    for src, dst in ("ab", "ac", "bd", "cd", "da"):
        ch.xbind(x + dst, x + src)
    ch.bind(q, x + "d")
    ch.bind(q, x + "b")
    ch.publish(x + "a", "k")
    ch.sync()
    m = ch.get(q, no_ack=True)
    eq((m.exchange, m.routing_key, count(ch, q)), (x + "a", "k", 0))
    for n in "abcd":
        ch.xdelete(x + n)


@case()
def test_EXC_09_key_of_the_inner_binding_decides(env):
    ch, x = env.ch(), env.name("x")
    q = ch.declare(exclusive=True).queue
    ch.exchange(x + "t", "topic")
    ch.exchange(x + "d", "direct")
    ch.xbind(x + "d", x + "t", "a.*")
    ch.bind(q, x + "d", "a.b")
    for key in ("a.b", "a.c", "b.b"):
        ch.publish(x + "t", key, key)
    ch.sync()
    eq(bodies(drain(ch, q)), ["a.b"])
    ch.xunbind(x + "d", x + "t", "a.*")
    ch.publish(x + "t", "a.b")
    ch.sync()
    eq(count(ch, q), 0)
    ch.xdelete(x + "t")
    ch.xdelete(x + "d")


# -- EXC-10..12: routing -------------------------------------------------------------------------

KEYS = ["", "a", "b", "a.b", "a.b.c", "a.a", ".", "a.", ".a", "a..b", "..", "a.b.c.d", "lazy.x.rabbit",
        "quick.orange.rabbit", "*", "#", "a.*", "A.B", "a.b.", "x.a", "x.y.a", "x.a.y", "ключ.b"]


def _topic(pattern, words):
    """Reference matcher on word lists, straight from the rule."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_topic(pattern[1:], words[i:]) for i in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _topic(pattern[1:], words[1:])


PATTERNS = ["", "a", "*", "#", "a.*", "*.a", "a.#", "#.a", "*.*", "*.#", "#.*", "#.#", "a.*.c", "a.#.c",
            "*.b", "#.b.#", "*.orange.*", "lazy.#", "*.*.rabbit", "a..b", ".", "a.", ".a", "..", "*.",
            ".*", "#.", "a.b", "a.b.c", "a.#.#.c", "*.#.*", "#.*.#", "a#", "*a", "##", "**", "#.a.#.b",
            "x.#.y", "x.*", "ключ.*", "#.c.*", "*.*.*.*"]


@case()
def test_EXC_10_topic_table(env):
    """42 patterns against 23 keys, checked with a literal spot table too.

    asked RabbitMQ 3.10.8: an empty key (or pattern) has no word at all, so `*` does not match it.
    """
    def split(text):
        return text.split(".") if text else []
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "topic")
    queues = {}
    for pattern in PATTERNS:
        queues[pattern] = ch.declare(exclusive=True).queue
        ch.bind(queues[pattern], x, pattern)
    for key in KEYS:
        ch.publish(x, key, "=" + key)
    ch.sync()
    got = {p: sorted(b[1:] for b in bodies(drain(ch, q))) for p, q in queues.items()}
    want = {p: sorted(k for k in KEYS if _topic(split(p), split(k))) for p in PATTERNS}
    eq({p: v for p, v in got.items() if v != want[p]}, {}, "patterns that differ")
    eq(got["a.*"], ["a.", "a.*", "a.a", "a.b"])
    eq(got["#.a"], [".a", "a", "a.a", "x.a", "x.y.a"])
    eq(got["a.#.c"], ["a.b.c"])
    eq(got["a#"], [])
    ch.xdelete(x)


@case()
def test_EXC_10_unbind_leaves_the_others(env):
    ch = env.ch()
    x, q = env.name("x"), ch.declare(exclusive=True).queue
    ch.exchange(x, "topic")
    for pattern in ("a.*", "a.b", "a.#", "#"):
        ch.bind(q, x, pattern)
    ch.publish(x, "a.b")
    ch.sync()
    eq(count(ch, q), 1, "one copy whatever matches")
    ch.purge(q)
    for pattern in ("#", "a.#", "a.*"):
        ch.unbind(q, x, pattern)
    for key in ("a.b", "a.c", "z"):
        ch.publish(x, key, key)
    ch.sync()
    eq(bodies(drain(ch, q)), ["a.b"])
    ch.xdelete(x)


V = Typed("V", None)
# (binding arguments, message headers, matches)
HEADERS = [
    ({}, {}, True), ({}, {"a": 1}, True), ({}, None, True),
    ({"a": 1}, {"a": 1}, True), ({"a": 1}, {"a": 2}, False), ({"a": 1}, {}, False),
    ({"a": 1}, None, False), ({"a": 1}, {"a": 1, "b": 2}, True), ({"a": 1, "b": 2}, {"a": 1}, False),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ({"x-match": "all", "a": 1, "b": 2}, {"a": 1}, False),
    ({"x-match": "all", "a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, True),
    ({"x-match": "all"}, {"a": 1}, True), ({"x-match": "all"}, {}, True),
    ({"x-match": "any"}, {"a": 1}, False), ({"x-match": "any"}, {}, False),
    ({"x-match": "any", "a": 1, "b": 2}, {"b": 2}, True),
    ({"x-match": "any", "a": 1, "b": 2}, {"a": 2, "b": 1}, False),
    ({"x-match": "any", "a": 1}, {}, False), ({"x-match": "any", "a": 1}, None, False),
    ({"a": V}, {"a": "anything"}, True), ({"a": V}, {"a": 5}, True), ({"a": V}, {"b": 5}, False),
    ({"a": V}, {"a": V}, True), ({"a": 1}, {"a": V}, False),
    ({"x-match": "any", "a": V, "b": 2}, {"a": 0}, True),
    ({"a": "1"}, {"a": 1}, False), ({"a": 1}, {"a": "1"}, False), ({"a": True}, {"a": 1}, False),
    ({"a": True}, {"a": True}, True), ({"a": ""}, {"a": ""}, True), ({"a": "x"}, {"a": "X"}, False),
    ({"a": 1.5}, {"a": 1.5}, True), ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, False), ({"a": [1, 2]}, {"a": [1, 2]}, True),
    ({"a": [1, 2]}, {"a": [2, 1]}, False), ({"A": 1}, {"a": 1}, False),
    ({"x-key": 1, "a": 1}, {"a": 1}, True), ({"x-match": "any", "x-key": 1}, {"x-key": 1}, False),
    ({"x-match": "all", "x-key": 1}, {}, True),
    ({"x-match": "all-with-x", "x-key": 1}, {}, False),
    ({"x-match": "all-with-x", "x-key": 1}, {"x-key": 1}, True),
    ({"x-match": "all-with-x", "x-key": 1, "a": 1}, {"x-key": 1}, False),
    ({"x-match": "any-with-x", "x-key": 1}, {"x-key": 1}, True),
    ({"x-match": "any-with-x", "x-key": 1, "a": 1}, {"a": 1}, True),
    ({"x-match": "any-with-x", "x-key": 1}, {"x-key": 2}, False),
]


@case()
def test_EXC_11_headers_table(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "headers")
    wrong = []
    q = ch.declare(exclusive=True).queue
    for args, headers, want in HEADERS:
        ch.bind(q, x, arguments=args)
        ch.publish(x, "", props={} if headers is None else {"headers": headers})
        ch.sync()
        got = len(drain(ch, q)) == 1
        if got != want:
            wrong.append((args, headers, f"got {got}"))
        ch.unbind(q, x, arguments=args)
    eq(wrong, [])
    ch.xdelete(x)


@case(table={"I-I": ("I", "I", True), "I-l": ("I", "l", True), "b-l": ("b", "l", True),
             "s-I": ("s", "I", True), "I-d": ("I", "d", True), "S-x": ("S", "x", True),
             "I-S": ("I", "S", False), "t-S": ("t", "S", False)})
def test_EXC_11_values_of_other_types(env, arg):
    """asked RabbitMQ 3.10.8: tags are not compared; numbers match by value, texts by bytes."""
    bound, sent, want = arg
    values = {"S": "5", "x": b"5", "d": 5.0, "t": True}
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "headers", auto_delete=True)
    q = ch.declare(exclusive=True).queue
    ch.bind(q, x, arguments={"k": Typed(bound, values.get(bound, 5))})
    ch.publish(x, "", props={"headers": {"k": Typed(sent, values.get(sent, 5))}})
    ch.sync()
    eq(count(ch, q) == 1, want)


@case(table={"value": {"x-match": "some"}, "type": {"x-match": 1}})
def test_EXC_11_bad_x_match(env, args):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    with closes_channel(406, "PRECONDITION_FAILED - [Ii]nvalid x-match", (50, 20)):
        ch.bind(q, "amq.headers", arguments=args)


@case()
def test_EXC_12_fanout_ignores_key_and_arguments(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "fanout", auto_delete=True)
    a, b = (ch.declare(exclusive=True).queue for _ in range(2))
    ch.bind(a, x, "k1", {"z": 1})
    ch.bind(a, x, "k2")
    ch.bind(b, x, "other")
    ch.publish(x, "nothing.like.it")
    ch.sync()
    eq((count(ch, a), count(ch, b)), (1, 1))


@case()
def test_EXC_12_direct_matches_bytes(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "direct", auto_delete=True)
    got = {}
    keys = ["a", "A", "", "a.b", "#", "*", "k" * 255, "ключ", "a "]
    for key in keys:
        got[key] = ch.declare(exclusive=True).queue
        ch.bind(got[key], x, key, {"ignored": 1})
    for key in keys:
        ch.publish(x, key, "=" + key)
    ch.sync()
    eq({k: bodies(drain(ch, q)) for k, q in got.items()}, {k: ["=" + k] for k in keys})


# -- EXC-13: consistent hash ---------------------------------------------------------------------

@case()
def test_EXC_13_consistent_hash_by_weight(env):
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "x-consistent-hash", auto_delete=True)
    queues = {w: ch.declare(exclusive=True).queue for w in ("10", "20", "30")}
    for weight, q in queues.items():
        ch.bind(q, x, weight)
    for i in range(6000):
        ch.publish(x, f"key-{i}")
    ch.sync()
    n = {w: count(ch, q) for w, q in queues.items()}
    eq(sum(n.values()), 6000, "each message in one queue")
    for weight in queues:
        share = 6000 * int(weight) / 60
        assert share * 0.5 < n[weight] < share * 1.6, n


@case(table={"key": ({}, lambda i: ("k", {}), 1),
             "header": ({"hash-header": "h"}, lambda i: (str(i), {"headers": {"h": "same"}}), 1),
             "header-varies": ({"hash-header": "h"}, lambda i: ("k", {"headers": {"h": str(i)}}), 3),
             "message_id": ({"hash-property": "message_id"},
                            lambda i: (str(i), {"message_id": "same"}), 1),
             "correlation_id": ({"hash-property": "correlation_id"},
                                lambda i: ("k", {"correlation_id": str(i)}), 3),
             "timestamp": ({"hash-property": "timestamp"}, lambda i: ("k", {"timestamp": i}), 3)})
def test_EXC_13_what_is_hashed(env, arg):
    arguments, message, want = arg
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "x-consistent-hash", auto_delete=True, arguments=arguments)
    queues = [ch.declare(exclusive=True).queue for _ in range(3)]
    for q in queues:
        ch.bind(q, x, "20")
    for i in range(200):
        key, props = message(i)
        ch.publish(x, key, props=props)
    ch.sync()
    eq(len([q for q in queues if count(ch, q)]), want, "queues that got something")


@case()
def test_EXC_13_weight_0_and_bad_key(env):
    """asked RabbitMQ 3.10.8: weight 0 is refused like any other bad key; ours takes it as in 4.x."""
    ch, x = env.ch(), env.name("x")
    ch.exchange(x, "x-consistent-hash")
    for key in ("-1", "many", "") + (("0",) if env.oracle else ()):
        with closes_channel(406, "PRECONDITION_FAILED - .*binding key", (50, 20)):
            ch.bind(ch.declare(exclusive=True).queue, x, key)
        ch = _reopen(env, ch)
    ch.xdelete(x)


@case()
def test_EXC_13_header_and_property(env):
    with closes_channel(406, "PRECONDITION_FAILED - ", (40, 10)):
        env.ch().exchange(env.name("x"), "x-consistent-hash", arguments={
            "hash-header": "h", "hash-property": "message_id"})


@case()
def test_EXC_13_unknown_property(env):
    with closes_channel(406, "PRECONDITION_FAILED - ", (40, 10)):
        env.ch().exchange(env.name("x"), "x-consistent-hash",
                          arguments={"hash-property": "app_id"})


# -- EXC-18, 19: exchanges that the broker feeds ---------------------------------------------------

@case()
def test_EXC_18_event_exchange(env):
    """Events appear in amq.rabbitmq.event with the data in headers and an empty body."""
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.bind(q, "amq.rabbitmq.event", "#")
    ch.consume(q, no_ack=True)
    n = env.name("ev")
    other = env.ch()
    other.declare(n)
    other.exchange(n, "fanout")
    other.bind(n, n)
    tag = other.consume(n)
    other.cancel(tag)
    other.unbind(n, n)
    other.xdelete(n)
    other.delete(n)
    other.close()
    other.conn.close()
    env.ctl("add_user", n, "pw")
    env.ctl("set_permissions", n, ".*", ".*", ".*")
    env.ctl("clear_permissions", n)
    env.ctl("set_user_tags", n, "management")
    env.ctl("change_password", n, "pw2")
    env.ctl("delete_user", n)
    env.ctl("set_policy", n, f"^{n}$", '{"max-length":1}')
    env.ctl("clear_policy", n)
    want = {"queue.created", "queue.deleted", "exchange.created", "exchange.deleted",
            "binding.created", "binding.deleted", "consumer.created", "consumer.deleted",
            "connection.created", "connection.closed", "channel.created", "channel.closed",
            "user.authentication.success", "user.created", "user.deleted", "permission.created",
            "permission.deleted", "user.tags.set", "user.password.changed", "policy.set",
            "policy.cleared"}
    seen = collections.defaultdict(list)

    def enough():
        try:
            m = ch.delivery(0.2)
        except Exception:
            return not want - set(seen)
        seen[m.routing_key].append(m)
        return not want - set(seen)
    try:
        until(enough, "all events", 15, pause=0)
    except AssertionError:
        raise AssertionError(f"missing events: {sorted(want - set(seen))}") from None
    created = [m for m in seen["queue.created"] if m.headers.get("name") == n]
    eq(len(created), 1)
    eq((created[0].body, created[0].headers["vhost"], created[0].headers["durable"]), (b"", "/", False))
    has(str([m.headers for m in seen["user.created"]]), n)
    assert "timestamp" in created[0].props


@case()
def test_EXC_18_more_events(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.bind(q, "amq.rabbitmq.event", "#")
    ch.consume(q, no_ack=True)
    n = env.name("ev")
    env.ctl("add_vhost", n)
    env.ctl("set_vhost_limits", "-p", n, '{"max-queues": 5}')
    env.ctl("clear_vhost_limits", "-p", n)
    env.ctl("set_topic_permissions", "-p", n, "guest", "amq.topic", ".*", ".*")
    env.ctl("clear_topic_permissions", "-p", n, "guest")
    env.ctl("delete_vhost", n)
    env.ctl("add_user", n, "pw")
    env.ctl("clear_password", n)
    env.ctl("delete_user", n)
    conn = env.wire()
    conn.start()
    conn.start_ok("guest", "wrong")
    want = {"vhost.created", "vhost.deleted", "vhost.limits.set", "vhost.limits.cleared",
            "topic.permission.created", "topic.permission.deleted", "user.password.cleared",
            "user.authentication.failure"}
    seen = set()

    def enough():
        try:
            seen.add(ch.delivery(0.2).routing_key)
        except WaitTimeout:
            pass
        return want <= seen
    try:
        until(enough, "all events", 15, pause=0)
    except AssertionError:
        raise AssertionError(f"missing events: {sorted(want - seen)}") from None


@case(node="short")
def test_EXC_19_log_exchange(env):
    """log.exchange = true: lines arrive with their level as routing key."""
    ch = env.ch()

    def there():
        try:
            return env.ch().exchange("amq.rabbitmq.log", "topic", passive=True)
        except ChannelClosed:
            return None
    until(there, "amq.rabbitmq.log, which appears a moment after the start", 20)
    q = ch.declare(exclusive=True).queue
    ch.bind(q, "amq.rabbitmq.log", "error")
    other = env.ch()
    other.conn.send_frame(77, 1, b"")
    other.conn.wait_close()
    m = until(lambda: ch.get(q, no_ack=True), "a log line")
    eq(m.routing_key, "error")
    assert m.body


# -- EXC-20..22: bindings ------------------------------------------------------------------------

@case()
def test_EXC_20_identity(env):
    ch, x = env.ch(), env.name("x")
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.exchange(x, "direct")
    q = ch.declare("q").queue
    ch.bind(q, x, "k")
    ch.bind(q, x, "k")
    ch.bind(q, x, "k2")
    ch.bind(q, x, "k", {"a": 1})
    ch.bind(q, x, "k", {"a": 2})
    rows = env.rows("list_bindings", "source_name", "source_kind", "destination_name",
                    "destination_kind", "routing_key", vhost=v)
    got = sorted((r["source_name"], r["source_kind"], r["destination_name"], r["destination_kind"],
                  r["routing_key"]) for r in rows)
    eq(got, sorted([("", "exchange", "q", "queue", "q")] +
                   [(x, "exchange", "q", "queue", k) for k in ("k", "k", "k", "k2")]))
    ch.unbind(q, x, "k", {"a": 1})
    ch.publish(x, "k")
    ch.sync()
    eq(count(ch, q), 1)


@case()
def test_EXC_20_unbind_is_idempotent(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.unbind(q, "amq.direct", "never-bound")
    ch.xunbind("amq.direct", "amq.fanout", "never-bound")


@case(table={"bind-no-queue": lambda ch, n: ch.bind(n, "amq.direct", "k"),
             "bind-no-exchange": lambda ch, n: ch.bind(ch.declare(exclusive=True).queue, n, "k"),
             "xbind-no-source": lambda ch, n: ch.xbind("amq.direct", n, "k"),
             "xbind-no-destination": lambda ch, n: ch.xbind(n, "amq.direct", "k")})
def test_EXC_20_missing(env, action):
    ch, n = env.ch(), env.name("none")
    with closes_channel(404, f"NOT_FOUND - no (queue|exchange) '{n}' in vhost '/'"):
        action(ch, n)


@case(table={"no-queue": lambda ch, n: ch.unbind(n, "amq.direct", "k"),
             "no-exchange": lambda ch, n: ch.unbind(ch.declare(exclusive=True).queue, n, "k")})
def test_EXC_20_unbind_of_missing_things_is_fine(env, action):
    """asked RabbitMQ 3.10.8: unbind of a missing queue or exchange is answered with unbind-ok."""
    action(env.ch(), env.name("none"))


@case()
def test_EXC_20_exclusive_queue_of_another_connection(env):
    q = env.ch().declare
    owner = env.ch()
    q = owner.declare(env.name(), exclusive=True).queue
    with closes_channel(405, f"RESOURCE_LOCKED - .*'{q}'", (50, 20)):
        env.ch().bind(q, "amq.direct", "k")


@case(table={"no-write-on-queue": ("^q", "^amq", "^$", "^amq\\.direct$"),
             "no-read-on-exchange": ("^q", "^q", ".*", "^q")})
def test_EXC_20_permissions(env, arg):
    configure, _unused, write, read = arg
    ch = env.ch(user=env.user(configure, write, read), password="pw")
    q = ch.declare(env.name("q"), exclusive=True).queue
    with closes_channel(403, "ACCESS_REFUSED - ", (50, 20)):
        ch.bind(q, "amq.direct", "k")


@case()
def test_EXC_21_empty_queue_name_is_the_last_declared(env):
    ch = env.ch()
    q = ch.declare(exclusive=True).queue
    ch.bind("", "amq.direct")
    ch.publish("amq.direct", q, "m")
    ch.sync()
    eq(bodies(drain(ch, q)), ["m"])
    ch.bind("", "amq.direct", "other-" + q)
    ch.publish("amq.direct", "other-" + q, "n")
    ch.sync()
    eq(bodies(drain(ch, q)), ["n"])


@case()
def test_EXC_21_none_declared(env):
    with closes_channel(404, "NOT_FOUND - no previously declared queue", (50, 20)):
        env.ch().bind("", "amq.direct", "k")


@case()
def test_EXC_22_bind_to_reply_pseudo_queue(env):
    """asked RabbitMQ 3.10.8: 404 like any queue that is not there; ours says 403 as 4.3 does."""
    with closes_channel(404 if env.oracle else 403, ids=(50, 20)):
        env.ch().bind("amq.rabbitmq.reply-to", "amq.direct", "k")
