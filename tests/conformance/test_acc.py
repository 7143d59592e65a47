"""ACC: users, permissions, virtual hosts, limits (features.md 1.9)."""

import base64
import hashlib
import json
import socket
import subprocess

from harness import (ChannelClosed, ConnectionClosed, Skip, case, closes_channel,
                     closes_connection, count, eq, has, match, until)


# -- ACC-01, CON-08: the default user --------------------------------------------------------------

@case(node="own")
def test_ACC_01_default_user_of_a_fresh_node(env):
    node = env.suite.nodes.make("fresh").start()
    out = node.ctl("--silent", "list_users").out
    eq(out.split("\n")[0].split("\t"), ["guest", "[administrator]"])
    eq(node.ctl("--silent", "list_permissions").out.strip().split("\t"), ["guest", ".*", ".*", ".*"])
    eq(node.ctl("--silent", "list_vhosts").out.strip(), "/")
    env.conn(port=node.port)
    node.ctl("add_user", "boss", "pw")
    node.ctl("set_permissions", "boss", ".*", ".*", ".*")
    node.ctl("delete_user", "guest")
    node.stop()
    node.start()
    env.conn(port=node.port, user="boss", password="pw")
    with closes_connection(403):
        env.conn(port=node.port)
    node.stop()


@case(node="own")
def test_ACC_01_default_user_settings(env):
    """asked RabbitMQ 3.10.8: it swaps default_permissions.read and .write, so they are equal here."""
    node = env.suite.nodes.make("defaults", config=(
        "default_user = chief\ndefault_pass = secret\ndefault_vhost = main\n"
        "default_user_tags.administrator = false\ndefault_user_tags.monitoring = true\n"
        "default_permissions.configure = ^c\ndefault_permissions.write = ^w\n"
        "default_permissions.read = ^w\n")).start()
    env.conn(port=node.port, user="chief", password="secret", vhost="main")
    eq(node.ctl("--silent", "list_users").out.strip().split("\t"), ["chief", "[monitoring]"])
    eq(node.ctl("--silent", "list_permissions", "-p", "main").out.strip().split("\t"),
       ["chief", "^c", "^w", "^w"])
    eq(node.ctl("--silent", "list_vhosts").out.strip(), "main")
    node.stop()


def _own_address():
    """An address of this host that is not 127/8; traffic to it still stays on this host."""
    out = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    found = [a for a in out if "." in a and not a.startswith("127.")]
    if not found:
        raise Skip("this host has only loopback addresses")
    return found[0]


@case(node="own")
def test_CON_08_loopback_users(env):
    host = _own_address()
    node = env.suite.nodes.make("loopback", address="0.0.0.0").start()
    node.ctl("add_user", "far", "pw")
    node.ctl("set_permissions", "far", ".*", ".*", ".*")
    env.conn(port=node.port)
    env.conn(port=node.port, host=host, user="far", password="pw")
    with closes_connection(403, "ACCESS_REFUSED - Login was refused", (0, 0)):
        env.conn(port=node.port, host=host)
    node.stop()


@case(node="own")
def test_CON_08_loopback_users_none(env):
    host = _own_address()
    node = env.suite.nodes.make("loopback-none", address="0.0.0.0",
                                config="loopback_users = none\n").start()
    env.conn(port=node.port, host=host)
    node.stop()


# -- ACC-02: commands and their exit codes -----------------------------------------------------------

@case()
def test_ACC_02_life_of_a_user(env):
    u = env.name("u")
    has(env.ctl("add_user", u, "pw").out, f'Adding user "{u}" ...')
    eq(env.ctl("authenticate_user", u, "pw").rc, 0)
    env.allow(u)
    env.ctl("change_password", u, "pw2")
    with closes_connection(403):
        env.conn(user=u, password="pw")
    env.conn(user=u, password="pw2")
    env.ctl("set_user_tags", u, "monitoring", "custom")
    rows = {r["user"]: r["tags"] for r in env.rows("list_users")}
    eq(sorted(rows[u]), ["custom", "monitoring"])
    has(env.ctl("set_user_tags", u, "administrator").out,
        f'Setting tags for user "{u}" to [administrator] ...')
    env.ctl("set_user_tags", u)
    eq({r["user"]: r["tags"] for r in env.rows("list_users")}[u], [])
    env.ctl("clear_password", u)
    with closes_connection(403):
        env.conn(user=u, password="pw2")
    with closes_connection(403):
        env.conn(user=u, password="")
    has(env.ctl("delete_user", u).out, f'Deleting user "{u}" ...')
    assert u not in {r["user"] for r in env.rows("list_users")}


@case()
def test_ACC_02_password_from_stdin(env):
    u = env.name("u")
    env.ctl("add_user", u, stdin="from stdin\n")
    eq(env.ctl("authenticate_user", u, "from stdin").rc, 0)


EXITS = {
    "add-existing": (70, ("add_user", "guest", "x"), "guest"),
    "delete-missing": (67, ("delete_user", "no-such"), "no-such"),
    "change-password-missing": (67, ("change_password", "no-such", "x"), "no-such"),
    "clear-password-missing": (69, 67, ("clear_password", "no-such"), "no-such"),
    "tags-missing": (67, ("set_user_tags", "no-such", "x"), "no-such"),
    "authenticate-wrong": (65, ("authenticate_user", "guest", "wrong"), "guest"),
    "authenticate-missing": (65, ("authenticate_user", "no-such", "x"), "no-such"),
    "permissions-missing-user": (67, ("set_permissions", "no-such", ".*", ".*", ".*"), "no-such"),
    "permissions-missing-vhost": (69, 65, ("set_permissions", "-p", "no-vh", "guest", ".*", ".*", ".*"),
                                  "no-vh"),
    "user-permissions-missing": (69, 67, ("list_user_permissions", "no-such"), "no-such"),
    "permissions-bad-regex": (69, 70, ("set_permissions", "guest", "(", ".*", ".*"), ""),
    "vhost-existing": (0, ("add_vhost", "/"), "/"),
    "vhost-delete-missing": (65, ("delete_vhost", "no-vh"), "no-vh"),
    "unknown-command": (64, ("no_such_command",), "no_such_command"),
    "too-few-arguments": (64, ("add_vhost",), ""),
    "too-many-arguments": (64, ("list_users", "a", "b"), ""),
    "list-queues-missing-vhost": (0, 65, ("list_queues", "-p", "no-vh"), "no-vh"),
    "bad-column": (64, ("list_queues", "no_such_column"), "no_such_column"),
}


@case(table=EXITS)
def test_ACC_02_exit_codes(env, arg):
    """asked RabbitMQ 3.10.8: where two codes are given, the first is its answer, the second ours."""
    *wanted, command, names = arg
    done = env.ctl(*command, check=False)
    assert done.rc in wanted, f"exit {done.rc}, not {wanted}: {(done.out + done.err)[-300:]!r}"
    assert names in done.out + done.err, done


@case()
def test_ACC_02_exit_code_node_down(env):
    done = env.ctl("-n", "nobody@localhost", "list_users", check=False)
    eq(done.rc, 69)
    has(done.err, "nobody@localhost")


# -- ACC-03..06: tags and permissions ----------------------------------------------------------------

HTTP = {"/api/whoami": "management", "/api/overview": "management", "/api/queues": "management",
        "/api/nodes": "monitoring", "/api/users": "administrator",
        "/api/permissions": "administrator", "/api/policies": "management",
        "/api/parameters": "policymaker"}
IMPLIES = {"": set(), "custom": set(), "impersonator": set(), "management": {"management"},
           "policymaker": {"management", "policymaker"}, "monitoring": {"management", "monitoring"},
           "administrator": {"management", "policymaker", "monitoring", "administrator"}}


@case(table={tag or "none": tag for tag in IMPLIES})
def test_ACC_03_tags_over_http(env, tag):
    u = env.user(tags=(tag,) if tag else ())
    got = {path: env.http("GET", path, user=u, password="pw")[0] for path in HTTP}
    eq(got, {path: 200 if need in IMPLIES[tag] else 401 for path, need in HTTP.items()})


@case()
def test_ACC_03_wrong_password_over_http(env):
    eq(env.http("GET", "/api/whoami", user="guest", password="wrong")[0], 401)


@case(table={"anchored-hit": ("^ab$", "ab", True), "anchored-miss": ("^ab$", "abc", False),
             "unanchored": ("b", "abc", True), "empty": ("", "x", False), "none": ("^$", "x", False),
             "all": (".*", "anything", True), "alternative": ("^(x|y)-", "y-1", True),
             "case": ("^Q", "q", False), "lookahead": ("^(?!secret)", "secret", False),
             "digits": (r"^\d+$", "123", True), "backref": (r"^(.)\1$", "aa", True)})
def test_ACC_04_regex(env, arg):
    pattern, name, allowed = arg
    u = env.user(configure=pattern)
    ch, q = env.ch(user=u, password="pw"), name
    v = env.vhost()
    env.allow(u, pattern, ".*", ".*", v)
    ch = env.ch(user=u, password="pw", vhost=v)
    if allowed:
        eq(ch.declare(q).queue, q)
        return
    with closes_channel(403, "ACCESS_REFUSED - ", (50, 10)):
        ch.declare(q)


@case()
def test_ACC_04_permissions_are_per_vhost(env):
    u, v = env.user(), env.vhost()
    with closes_connection(530, "NOT_ALLOWED - "):
        env.conn(user=u, password="pw", vhost=v)


# What each operation needs; c, w, r are patterns that the user gets.
OPERATIONS = {
    "declare-queue": (lambda ch: ch.declare("z-new", auto_delete=True), "z-new", "", ""),
    "delete-queue": (lambda ch: ch.delete("z-q"), "z-q", "", ""),
    "declare-with-dlx": (lambda ch: ch.declare("z-dq", arguments={"x-dead-letter-exchange": "z-dx"}),
                         "z-dq", "z-dx", "z-dq"),
    "declare-exchange": (lambda ch: ch.exchange("z-nx", "direct"), "z-nx", "", ""),
    "delete-exchange": (lambda ch: ch.xdelete("z-x2"), "z-x2", "", ""),
    "declare-with-ae": (lambda ch: ch.exchange("z-ax", "direct", {"alternate-exchange": "z-ae"}),
                        "z-ax", "z-ae", "z-ax"),
    "bind-queue": (lambda ch: ch.bind("z-q", "z-x", "k"), "", "z-q", "z-x"),
    "unbind-queue": (lambda ch: ch.unbind("z-q", "z-x", "k"), "", "z-q", "z-x"),
    "bind-exchange": (lambda ch: ch.xbind("z-x3", "z-x", "k"), "", "z-x3", "z-x"),
    "publish": (lambda ch: (ch.publish("z-x", "k"), ch.sync()), "", "z-x", ""),
    "get": (lambda ch: ch.get("z-q"), "", "", "z-q"),
    "consume": (lambda ch: ch.consume("z-q"), "", "", "z-q"),
    "purge": (lambda ch: ch.purge("z-q"), "", "", "z-q"),
}


@case(table=OPERATIONS)
def test_ACC_05_operation_needs(env, arg):
    """Allowed with exactly the permissions of the table; refused when any one is taken away."""
    act, *needs = arg
    u, v = env.user(configure=None), env.vhost()
    admin = env.ch(vhost=v)
    for q in ("z-q",):
        admin.declare(q, durable=True)
    for x in ("z-x", "z-x2", "z-x3"):
        admin.exchange(x, "direct", durable=True)
    exact = [f"^{n}$" for n in needs]
    for i, need in enumerate(needs):
        if not need:
            continue
        less = [("^$" if i == j else p) for j, p in enumerate(exact)]
        env.allow(u, *less, vhost=v)
        ch = env.ch(user=u, password="pw", vhost=v)
        with closes_channel(403, "ACCESS_REFUSED - "):
            act(ch)
    env.allow(u, *exact, vhost=v)
    act(env.ch(user=u, password="pw", vhost=v))


@case()
def test_ACC_06_403_text(env):
    """3.10 column: the permission is not named; both forms are accepted here."""
    u, q = env.user("^$", "^$", "^$"), env.name()
    with closes_channel(403, f"ACCESS_REFUSED - (configure )?access to queue '{q}' in vhost '/' "
                        f"refused for user '{u}'", (50, 10)):
        env.ch(user=u, password="pw").declare(q)


@case(oracle=False, reason="4.x names the permission", table={
    "configure": ("configure", lambda ch: ch.declare("z"), "queue 'z'"),
    "write": ("write", lambda ch: (ch.publish("amq.direct", "k"), ch.dies()), "exchange 'amq.direct'"),
    "read": ("read", lambda ch: ch.get(ch.server_queue), "queue")})
def test_ACC_06_403_text_names_the_permission(env, arg):
    u = env.user("^$", "^$", "^$")
    ch = env.ch(user=u, password="pw")
    ch.server_queue = env.ch().declare(env.name(), auto_delete=True).queue
    with closes_channel(403, f"ACCESS_REFUSED - {arg[0]} access to {arg[2]}.* in vhost '/' refused for "
                        f"user '{u}'"):
        arg[1](ch)


# -- ACC-07, 08: topic permissions, cache ------------------------------------------------------------

@case()
def test_ACC_07_topic_permissions(env):
    u, x = env.user(), env.name("x")
    admin = env.ch()
    admin.exchange(x, "topic", durable=True)
    env.undo(lambda: env.ch().xdelete(x))
    env.ctl("set_topic_permissions", "-p", "/", u, x, "^{username}\\.", "^{vhost}\\.|^pub\\.")
    rows = env.rows("list_user_topic_permissions", options=(u,))
    eq([(r["vhost"], r["exchange"], r["write"]) for r in rows], [("/", x, "^{username}\\.")])

    ch = env.ch(user=u, password="pw")
    q = ch.declare(exclusive=True).queue
    ch.bind(q, x, "pub.#")
    ch.publish(x, u + ".mine")
    ch.publish("amq.topic", "other.exchanges.are.free")
    ch.sync()
    with closes_channel(403, "ACCESS_REFUSED - .*topic 'foreign.x'.*", (60, 40)):
        ch.publish(x, "foreign.x")
        ch.dies()
    ch = env.ch(user=u, password="pw")
    q = ch.declare(exclusive=True).queue
    with closes_channel(403, "ACCESS_REFUSED - ", (50, 20)):
        ch.bind(q, x, "foreign.#")
    env.ctl("clear_topic_permissions", "-p", "/", u)
    ch = env.ch(user=u, password="pw")
    ch.publish(x, "foreign.x")
    ch.sync()


@case()
def test_ACC_08_clearing_permissions_closes_nothing(env):
    u = env.user()
    conn = env.conn(user=u, password="pw")
    ch = conn.channel()
    ch.publish("amq.direct", "k")
    ch.sync()
    env.ctl("clear_permissions", u)
    ch.call("basic.qos", prefetch_count=1)
    with closes_channel(403, "ACCESS_REFUSED - "):
        fresh = conn.channel()
        fresh.publish("amq.direct", "k")
        fresh.dies()
    with closes_connection(530):
        env.conn(user=u, password="pw")


# -- ACC-09, 10: passwords ---------------------------------------------------------------------------

HASHES = {"sha256": ("rabbit_password_hashing_sha256", hashlib.sha256),
          "sha512": ("rabbit_password_hashing_sha512", hashlib.sha512),
          "md5": ("rabbit_password_hashing_md5", hashlib.md5)}


@case(table=HASHES)
def test_ACC_09_import_of_a_password_hash(env, arg):
    """Definitions with a hash as RabbitMQ writes it: base64 of 4 bytes salt and hash(salt + pw)."""
    module, algorithm = arg
    u, salt = env.name("u"), b"\x90\x8d\xc6\x0a"
    text = base64.b64encode(salt + algorithm(salt + b"test12").digest()).decode()
    path = env.node.folder / f"{u}.json"
    path.write_text(json.dumps({
        "users": [{"name": u, "password_hash": text, "hashing_algorithm": module, "tags": []}],
        "permissions": [{"user": u, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}))
    env.ctl("import_definitions", path)
    env.conn(user=u, password="test12")
    with closes_connection(403):
        env.conn(user=u, password="test13")


@case()
def test_ACC_09_export_holds_the_hash(env):
    u = env.user(password="secret pw")
    path = env.node.folder / f"{u}-out.json"
    env.ctl("export_definitions", path)
    user = next(x for x in json.loads(path.read_text())["users"] if x["name"] == u)
    raw = base64.b64decode(user["password_hash"])
    eq(user["hashing_algorithm"], "rabbit_password_hashing_sha256")
    eq(raw[4:], hashlib.sha256(raw[:4] + b"secret pw").digest())


@case(node="short")
def test_ACC_10_min_password_length(env):
    u = env.name("u")
    done = env.ctl("add_user", u, "abc", check=False)
    assert done.rc != 0, done
    match(done.out + done.err, "4")
    env.ctl("add_user", u, "abcd")
    assert env.ctl("change_password", u, "abc", check=False).rc != 0


# -- ACC-13..15: limits and virtual hosts ------------------------------------------------------------

@case()
def test_ACC_13_user_max_channels(env):
    u = env.user()
    env.ctl("set_user_limits", u, '{"max-channels": 2, "max-connections": 5}')
    has(env.ctl("list_user_limits", "--user", u).out, "max-channels")
    conn = env.conn(user=u, password="pw")
    conn.channel()
    conn.channel()
    with closes_connection(530, f"NOT_ALLOWED - .*'{u}'.*limit.*2"):
        conn.channel()
    env.ctl("clear_user_limits", u, "all")

    def opens():
        c = env.conn(user=u, password="pw")
        try:
            for _ in range(3):
                c.channel()
            return True
        except ConnectionClosed:
            return False
    until(opens, "the limit to be gone")


@case()
def test_ACC_14_vhost_limits_listed_and_cleared(env):
    v = env.vhost()
    env.ctl("set_vhost_limits", "-p", v, '{"max-connections": 7, "max-queues": 1}')
    out = env.ctl("--silent", "list_vhost_limits", "-p", v).out
    has(out, "max-connections")
    has(out, "7")
    ch = env.ch(vhost=v)
    ch.declare("a")
    env.ctl("clear_vhost_limits", "-p", v)
    ch.declare("b")


@case(table={"not-json": "{", "unknown-key": '{"max-cats": 1}', "not-a-number": '{"max-queues": "x"}'})
def test_ACC_14_bad_limits(env, text):
    done = env.ctl("set_vhost_limits", "-p", "/", text, check=False)
    assert done.rc != 0, done


@case()
def test_ACC_15_vhost_life(env):
    v = env.name("v")
    has(env.ctl("add_vhost", v, "--description", "a test", "--tags", "one,two").out,
        f'Adding vhost "{v}" ...')
    row = next(r for r in env.rows("list_vhosts", "name", "description", "tags", "tracing")
               if r["name"] == v)
    eq((row["description"], row["tracing"]), ("a test", False))
    if not env.oracle:  # 3.10.8 prints the tags given to its own CLI as a list of letters
        eq(sorted(row["tags"]), ["one", "two"])
    env.ctl("set_permissions", "-p", v, "guest", ".*", ".*", ".*")
    ch = env.ch(vhost=v)
    ch.declare("q", durable=True)
    has(env.ctl("delete_vhost", v).out, f'Deleting vhost "{v}" ...')
    error = ch.conn.wait_close()
    eq((error.code, error.ids), (320, (0, 0)))
    with closes_connection(530, f"NOT_ALLOWED - vhost {v} not found"):
        env.conn(vhost=v)
    env.ctl("add_vhost", v)
    env.ctl("set_permissions", "-p", v, "guest", ".*", ".*", ".*")
    with closes_channel(404):
        env.ch(vhost=v).declare("q", passive=True)


@case()
def test_ACC_15_restart_vhost_of_a_running_one(env):
    """asked RabbitMQ 3.10.8: on a running vhost the command succeeds and nothing is lost."""
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.declare("q", durable=True)
    env.ctl("restart_vhost", "-p", v)
    eq(count(env.ch(vhost=v), "q"), 0)
