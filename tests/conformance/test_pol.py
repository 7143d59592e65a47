"""POL: policies, definitions, parameters (features.md 1.10)."""

import json
import time

from harness import (ChannelClosed, bodies, case, closes_connection, count, drain, eq, has, match,
                     until, until_count)


def _fill(ch, q, n=10, **props):
    for i in range(n):
        ch.publish("", q, str(i), props)
    ch.sync()


def _limit_is(env, ch, q, n):
    """Waits until the queue holds n of 20 published messages."""
    def holds():
        ch.purge(q)
        _fill(ch, q, 20)
        return count(ch, q) == n
    until(holds, f"{q} to hold {n} of 20", pause=0.05)


def _shown(env, v, q):
    """What is shown of a queue's policies.

    asked RabbitMQ 3.10.8: only HTTP has effective_policy_definition; ours has it in ctl as well.
    """
    path = f"/api/queues/{v.replace('/', '%2f')}/{q}"
    if env.oracle:
        until(lambda: env.http("GET", path)[0] == 200, "queue over HTTP")
        return env.http("GET", path)[1]
    return env.queue_row(q, "policy", "operator_policy", "effective_policy_definition", vhost=v)


# -- POL-01..04: which policy, which value -----------------------------------------------------------

@case()
def test_POL_01_highest_priority_applies_alone(env):
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.declare("q", durable=True)
    has(env.ctl("set_policy", "-p", v, "low", "^q", '{"max-length": 5, "message-ttl": 60000}',
                "--priority", "1", "--apply-to", "queues").out, 'Setting policy "low"')
    env.ctl("set_policy", "-p", v, "--priority", "2", "--apply-to", "queues", "high", "^q$",
            '{"max-length": 3}')
    env.ctl("set_policy", "-p", v, "--priority", "9", "--apply-to", "exchanges", "other", "^q$",
            '{"alternate-exchange": "x"}')
    env.ctl("set_policy", "-p", v, "--priority", "9", "no-match", "^zzz", '{"max-length": 1}')
    _limit_is(env, ch, "q", 3)
    until(lambda: _shown(env, v, "q").get("policy") == "high", "the policy's name", pause=0.2)
    row = _shown(env, v, "q")
    has(str(row["effective_policy_definition"]), "max-length")
    assert "message-ttl" not in str(row["effective_policy_definition"]), row
    rows = {r["name"]: r for r in env.rows("list_policies", vhost=v)}
    eq({n: (r["vhost"], r["pattern"], r["apply-to"], r["priority"]) for n, r in rows.items()},
       {"low": (v, "^q", "queues", 1), "high": (v, "^q$", "queues", 2),
        "other": (v, "^q$", "exchanges", 9), "no-match": (v, "^zzz", "all", 9)})
    eq(json.loads(rows["high"]["definition"]), {"max-length": 3})
    env.ctl("clear_policy", "-p", v, "high")
    _limit_is(env, ch, "q", 5)
    env.ctl("clear_policy", "-p", v, "low")
    _limit_is(env, ch, "q", 20)


@case()
def test_POL_01_applies_to_queues_declared_later(env):
    ch, q = env.ch(), env.name()
    env.policy(f"^{q}$", {"max-length": 4}, apply_to="queues")
    ch.declare(q, exclusive=True)
    _fill(ch, q)
    eq(count(ch, q), 4)


@case()
def test_POL_01_replacing_a_policy(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=True)
    env.ctl("set_policy", q, f"^{q}$", '{"max-length": 4}')
    _limit_is(env, ch, q, 4)
    env.ctl("set_policy", q, f"^{q}$", '{"max-length": 6}')
    _limit_is(env, ch, q, 6)
    env.ctl("clear_policy", q)
    assert env.ctl("clear_policy", q, check=False).rc != 0, "clearing a missing policy"


@case()
def test_POL_02_operator_policy_merges_lower_limit_wins(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=True)
    user = env.policy(f"^{q}$", {"max-length": 10, "message-ttl": 60000}, apply_to="queues")
    op = env.policy(f"^{q}$", {"max-length": 5, "expires": 600000}, apply_to="queues", operator=True)
    _limit_is(env, ch, q, 5)
    until(lambda: [_shown(env, "/", q).get(k) for k in ("policy", "operator_policy")] == [user, op],
          "both policies' names", pause=0.2)
    row = _shown(env, "/", q)
    for piece in ("max-length", "message-ttl", "expires"):
        has(str(row["effective_policy_definition"]), piece)
    env.ctl("clear_operator_policy", op)
    _limit_is(env, ch, q, 10)
    eq([r for r in env.rows("list_operator_policies") if r["name"] == op], [])


@case()
def test_POL_02_operator_policy_higher_than_user_and_alone(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=True)
    env.policy(f"^{q}$", {"max-length": 7}, apply_to="queues", operator=True)
    _limit_is(env, ch, q, 7)
    env.policy(f"^{q}$", {"max-length": 4}, apply_to="queues")
    _limit_is(env, ch, q, 4)


@case()
def test_POL_03_message_ttl(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=True)
    env.policy(f"^{q}$", {"message-ttl": 50})

    def gone():
        _fill(ch, q, 1)
        try:
            until_count(ch, q, 0, 0.4)
            return True
        except AssertionError:
            return False
    until(gone, "messages to expire")


@case()
def test_POL_03_expires(env):
    ch, q = env.ch(), env.name()
    ch.declare(q)
    env.policy(f"^{q}$", {"expires": 200})

    def returned():
        ch.publish("", q, mandatory=True)
        ch.sync()
        return any(m.name == "basic.return" for m in ch.inbox)
    until(returned, "queue to expire")


@case()
def test_POL_03_max_length_bytes_and_overflow(env):
    ch, q = env.ch(), env.name()
    ch.declare(q, exclusive=True)
    env.policy(f"^{q}$", {"max-length-bytes": 25, "overflow": "reject-publish"})
    ch.confirm()

    def refused():
        return ch.publish_confirmed("", q, b"x" * 10) == "nack"
    until(refused, "a nack")


@case()
def test_POL_03_dead_letter_and_routing_key(env):
    ch, q = env.ch(), env.name()
    dead = ch.declare(exclusive=True).queue
    ch.declare(q, exclusive=True)
    env.policy(f"^{q}$", {"max-length": 0, "dead-letter-exchange": "", "dead-letter-routing-key": dead})

    def arrives():
        ch.publish("", q)
        return ch.get(dead, no_ack=True)
    m = until(arrives, "a dead letter")
    eq(m.headers["x-death"][0]["reason"], "maxlen")


@case()
def test_POL_03_delivery_limit(env):
    ch, q = env.ch(), env.name()
    env.policy(f"^{q}$", {"delivery-limit": 1})
    ch.declare(q, durable=True, arguments={"x-queue-type": "quorum"})
    env.undo(lambda: env.ch().delete(q))
    ch.publish("", q)
    for _ in range(2):
        ch.reject(until(lambda: ch.get(q), "message").delivery_tag)
    ch.sync()
    until_count(ch, q, 0)
    eq(ch.get(q), None)


@case(table={"ha": {"ha-mode": "all", "ha-sync-mode": "automatic"},
             "ha-exactly": {"ha-mode": "exactly", "ha-params": 2}, "queue-mode": {"queue-mode": "lazy"},
             "queue-version": {"queue-version": 2}})
def test_POL_03_old_keys_are_accepted(env, definition):
    ch, q = env.ch(), env.name()
    p = env.name("p")
    env.ctl("set_policy", p, f"^{q}$", json.dumps(definition))
    env.undo(lambda: env.ctl("clear_policy", p))
    ch.declare(q, durable=True)
    _fill(ch, q, 3)
    until_count(ch, q, 3)
    ch.delete(q)


@case(table={"argument-lower": (3, 8, 3), "policy-lower": (8, 3, 3)})
def test_POL_04_lower_of_argument_and_policy(env, arg):
    ch, q = env.ch(), env.name()
    env.policy(f"^{q}$", {"max-length": arg[1]})
    ch.declare(q, exclusive=True, arguments={"x-max-length": arg[0]})
    _fill(ch, q)
    eq(count(ch, q), arg[2])


@case()
def test_POL_04_dead_letter_argument_wins(env):
    ch, q = env.ch(), env.name()
    by_arg, by_policy = (ch.declare(exclusive=True).queue for _ in range(2))
    env.policy(f"^{q}$", {"dead-letter-exchange": "", "dead-letter-routing-key": by_policy})
    ch.declare(q, exclusive=True, arguments={"x-dead-letter-exchange": "", "x-max-length": 0,
                                             "x-dead-letter-routing-key": by_arg})
    ch.publish("", q)
    until_count(ch, by_arg, 1)
    eq(count(ch, by_policy), 0)


@case()
def test_POL_04_overflow_argument_wins_on_classic(env):
    ch, q = env.ch(), env.name()
    env.policy(f"^{q}$", {"overflow": "drop-head"})
    ch.declare(q, exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.confirm()
    eq([ch.publish_confirmed("", q) for _ in range(2)], ["ack", "nack"])


# -- POL-05: validation ------------------------------------------------------------------------------

BAD = {"unknown-key": {"bogus": 1}, "negative": {"max-length": -1}, "text-for-number": {"message-ttl": "x"},
       "expires-0": {"expires": 0}, "bad-overflow": {"overflow": "explode"}, "not-an-object": [1],
       "dlx-number": {"dead-letter-exchange": 1}, "ha-mode": {"ha-mode": "some"}, "empty": {}}


@case(table=BAD)
def test_POL_05_rejected_by_ctl(env, definition):
    done = env.ctl("set_policy", env.name("p"), "^x$", json.dumps(definition), check=False)
    assert done.rc != 0, done
    if isinstance(definition, dict) and definition:
        has(done.out + done.err, next(iter(definition)))


@case(table={"not-json": ("set_policy", "p", "^x$", "{"), "bad-regex": ("set_policy", "p", "(", '{"expires": 5}'),
             "bad-apply-to": ("set_policy", "--apply-to", "cats", "p", "^x$", '{"expires": 5}'),
             "bad-priority": ("set_policy", "--priority", "x", "p", "^x$", '{"expires": 5}'),
             "operator-key": ("set_operator_policy", "p", "^x$", '{"dead-letter-exchange": "x"}')})
def test_POL_05_other_mistakes(env, command):
    done = env.ctl(*command, check=False)
    assert done.rc != 0, done


@case(table=BAD)
def test_POL_05_rejected_by_http(env, definition):
    """asked RabbitMQ 3.10.8: an empty definition is a 400 as well; a list crashes it (500)."""
    status, answer = env.http("PUT", f"/api/policies/%2f/{env.name('p')}",
                              {"pattern": "^x$", "definition": definition})
    eq(status, 500 if env.oracle and definition == [1] else 400, str(answer))


# -- POL-06..09: definitions -------------------------------------------------------------------------

@case()
def test_POL_06_effective_policy_definition(env):
    """A queue without policies shows none."""
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.declare("with", durable=True)
    ch.declare("without", durable=True)
    env.policy("^with$", {"max-length": 4}, vhost=v)
    until(lambda: _shown(env, v, "with").get("policy"), "the policy's name", pause=0.2)
    rows = {q: _shown(env, v, q) for q in ("with", "without")}
    has(json.dumps(rows["with"]["effective_policy_definition"]), "max-length")
    eq((rows["without"]["policy"] or "", rows["without"]["operator_policy"] or ""), ("", ""))
    assert not rows["without"]["effective_policy_definition"], rows["without"]


KEYS = {"users", "vhosts", "permissions", "topic_permissions", "parameters", "global_parameters",
        "policies", "queues", "exchanges", "bindings", "rabbit_version", "rabbitmq_version"}


def _furnish(env, v):
    """Puts one of everything into a virtual host."""
    ch = env.ch(vhost=v)
    ch.declare("q", durable=True, arguments={"x-max-length": 7, "x-dead-letter-exchange": "x"})
    ch.declare("transient")
    ch.exchange("x", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    ch.bind("q", "x", "a.#", {"k": "v"})
    ch.xbind("amq.fanout", "x", "up")
    u = env.user(vhost=v, tags=("monitoring",))
    env.ctl("set_policy", "-p", v, "--priority", "3", "--apply-to", "queues", "pol", "^q", '{"expires": 9000000}')
    env.ctl("set_topic_permissions", "-p", v, u, "x", "^w", "^r")
    env.ctl("set_vhost_limits", "-p", v, '{"max-queues": 50}')
    return u


def _export(env, name):
    path = env.node.folder / name
    env.ctl("export_definitions", path)
    return json.loads(path.read_text())


def _of(definitions, v):
    """The parts of a definitions file that belong to one vhost, in a comparable order."""
    out = {}
    for key, rows in definitions.items():
        if isinstance(rows, list):
            out[key] = sorted(json.dumps(r, sort_keys=True) for r in rows
                              if r.get("vhost") == v or (key == "vhosts" and r["name"] == v))
    return out


@case()
def test_POL_07_round_trip_is_idempotent_and_08_keys(env):
    """asked RabbitMQ 3.10.8: transient queues are exported too, exclusive ones are not."""
    v = env.vhost()
    u = _furnish(env, v)
    one = _export(env, f"{v}-1.json")
    eq(KEYS - set(one), set(), "missing keys")
    for key in KEYS & {k for k in one if isinstance(one[k], list)}:  # leave out other tests' things
        one[key] = [r for r in one[key] if r.get("vhost") == v or r.get("name") in (u, v)]
    mine = _of(one, v)
    eq({k: len(r) for k, r in mine.items() if r},
       {"vhosts": 1, "permissions": 2, "topic_permissions": 1, "policies": 1, "queues": 2,
        "exchanges": 1, "bindings": 2, "parameters": 1})
    has(str(mine["queues"]), '"x-max-length": 7')
    assert u in str(one["users"])
    path = env.node.folder / f"{v}-1.json"
    path.write_text(json.dumps(one))
    env.ctl("import_definitions", path)
    eq(_of(_export(env, f"{v}-2.json"), v), mine, "after importing what is there already")
    env.ctl("delete_vhost", v)
    env.ctl("delete_user", u)
    env.ctl("import_definitions", path)
    eq(_of(_export(env, f"{v}-3.json"), v), mine, "after restoring a deleted vhost")
    env.conn(user=u, password="pw", vhost=v)
    ch = env.ch(vhost=v)
    ch.publish("x", "a.b")
    ch.sync()
    eq(count(ch, "q"), 1)


@case()
def test_POL_07_export_to_stdout_and_import_from_stdin(env):
    v = env.name("v")
    out = env.ctl("--silent", "export_definitions", "-").out
    eq(KEYS - set(json.loads(out[out.index("{"):])), set())
    env.ctl("import_definitions", stdin=json.dumps({"vhosts": [{"name": v}]}))
    assert v in {r["name"] for r in env.rows("list_vhosts")}


@case()
def test_POL_07_http(env):
    v = env.vhost()
    _furnish(env, v)
    status, one = env.http("GET", "/api/definitions")
    eq((status, KEYS - set(one)), (200, set()))
    status, own = env.http("GET", f"/api/definitions/{v}")
    eq((status, {q["name"] for q in own["queues"]}), (200, {"q", "transient"}))
    name = env.name()
    status, answer = env.http("POST", f"/api/definitions/{v}", {"queues": [
        {"name": name, "durable": True, "auto_delete": False, "arguments": {}}]})
    assert status in (200, 201, 204), (status, answer)
    eq(count(env.ch(vhost=v), name), 0)


@case(table={"not-json": "{", "wrong-shape": '{"users": 5}', "unknown-vhost":
             '{"queues": [{"name": "q", "vhost": "no-such", "durable": true, "auto_delete": false, '
             '"arguments": {}}]}'})
def test_POL_07_bad_import(env, text):
    path = env.node.folder / (env.name("bad") + ".json")
    path.write_text(text)
    done = env.ctl("import_definitions", path, check=False)
    assert done.rc != 0, done


@case()
def test_POL_07_import_missing_file(env):
    assert env.ctl("import_definitions", "/no/such/file", check=False).rc != 0


def _old_export(v):
    """A definitions file in the shape that 3.x servers write."""
    return {
        "rabbit_version": "3.6.6", "users": [
            {"name": v + "-u", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
             "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator,custom"}],
        "vhosts": [{"name": v}],
        "permissions": [{"user": v + "-u", "vhost": v, "configure": ".*", "write": ".*", "read": ".*"}],
        "parameters": [], "global_parameters": [{"name": "cluster_name", "value": "rabbit@old"}],
        "policies": [{"vhost": v, "name": "ha", "pattern": "^ha\\.", "apply-to": "all",
                      "definition": {"ha-mode": "all"}, "priority": 0}],
        "queues": [{"name": "ha.q", "vhost": v, "durable": True, "auto_delete": False,
                    "arguments": {"x-message-ttl": 60000, "x-queue-mode": "lazy"}}],
        "exchanges": [{"name": "x", "vhost": v, "type": "headers", "durable": True,
                       "auto_delete": False, "internal": False, "arguments": {}}],
        "bindings": [{"source": "x", "vhost": v, "destination": "ha.q", "destination_type": "queue",
                      "routing_key": "", "arguments": {"x-match": "any", "k": "v"}}]}


def _check_old_export(env, node, v):
    conn = env.conn(port=node.port, user=v + "-u", password="test12", vhost=v)
    ch = conn.channel()
    ch.publish("x", "", "m", {"headers": {"k": "v"}})
    ch.sync()
    eq(bodies(drain(ch, "ha.q")), ["m"])
    rows = {r["user"]: r["tags"] for r in json.loads(
        node.ctl("--silent", "--formatter", "json", "list_users").out)}
    eq(sorted(rows[v + "-u"]), ["administrator", "custom"])


@case()
def test_POL_08_import_of_an_old_export(env):
    v = env.name("old")
    path = env.node.folder / f"{v}.json"
    path.write_text(json.dumps(_old_export(v)))
    env.ctl("import_definitions", path)
    _check_old_export(env, env.node, v)


@case(node="own", table={"load_definitions": "load_definitions = {path}\n",
                         "definitions.local": "definitions.import_backend = local_filesystem\n"
                                              "definitions.local.path = {path}\n"})
def test_POL_09_import_at_boot(env, config):
    """asked RabbitMQ 3.10.8: guest is not created when the file has users."""
    name = "boot" if config.startswith("load") else "bootlocal"
    node = env.suite.nodes.make(name)
    path = node.folder / "defs.json"
    path.write_text(json.dumps(_old_export("old")))
    node.config_path.write_text(config.format(path=path))
    node.start()
    _check_old_export(env, node, "old")
    eq({r["user"] for r in json.loads(
        node.ctl("--silent", "--formatter", "json", "list_users").out)}, {"old-u"})
    node.stop()


# -- POL-10: runtime parameters ----------------------------------------------------------------------

@case()
def test_POL_10_unknown_component(env):
    done = env.ctl("set_parameter", "no-such", "n", '{"a": 1}', check=False)
    assert done.rc != 0, done
    has(done.out + done.err, "no-such")


@case()
def test_POL_10_vhost_limits_are_a_parameter(env):
    v = env.vhost()
    env.ctl("set_parameter", "-p", v, "vhost-limits", "limits", '{"max-queues": 1}')
    rows = env.rows("list_parameters", vhost=v)
    eq([(r["component"], r["name"]) for r in rows], [("vhost-limits", "limits")])
    ch = env.ch(vhost=v)
    ch.declare("a")
    env.ctl("clear_parameter", "-p", v, "vhost-limits", "limits")
    eq(env.rows("list_parameters", vhost=v), [])
    ch.declare("b")


@case()
def test_POL_10_global_parameters(env):
    n = env.name("g")
    env.ctl("set_global_parameter", n, '{"a": [1, "x"]}')
    rows = {r["name"]: r["value"] for r in env.rows("list_global_parameters")}
    has(json.dumps(rows[n]), "a")
    env.ctl("clear_global_parameter", n)
    assert n not in {r["name"] for r in env.rows("list_global_parameters")}


@case(table={"not-json": ("set_global_parameter", "x", "{"),
             "clear-missing": ("clear_global_parameter", "no-such-parameter"),
             "clear-missing-component": ("clear_parameter", "vhost-limits", "nope")})
def test_POL_10_mistakes(env, command):
    done = env.ctl(*command, check=False)
    assert done.rc != 0, done
