"""ALM, OBS, OTH-05 and TLS: alarms, what operators see, plugins (features.md 1.11, 1.12, 1.14)."""

import json
import os
import re
import ssl
import subprocess
import time

from harness import (WaitTimeout, case, closes_connection, count, eq, has, match, until,
                     until_count)


# -- ALM, CON-27, CON-28: a node of its own, one after the other -----------------------------------

class Alarm:
    """Raises an alarm on the node and clears it again at the end of the block."""

    def __init__(self, env, *kinds):
        self.env, self.kinds = env, kinds

    def __enter__(self):
        if "memory" in self.kinds:
            self.env.ctl("set_vm_memory_high_watermark", "0.00001")
        if "disk" in self.kinds:
            self.env.ctl("set_disk_free_limit", "1000000GB")
        return self

    def clear(self, kind):
        if kind == "memory":
            self.env.ctl("set_vm_memory_high_watermark", "0.6")
        else:
            self.env.ctl("set_disk_free_limit", "50MB")

    def __exit__(self, *_):
        for kind in self.kinds:
            self.clear(kind)


def _state(env, conn):
    port = conn.sock.getsockname()[1]
    rows = env.table("list_connections", "peer_port", "state")
    return next(r["state"] for r in rows if r["peer_port"] == str(port))


@case(node="alarm")
def test_ALM_01_memory_CON_27_blocked_and_unblocked(env):
    """connection.blocked comes once, after a publish, and unblocked when the alarm clears."""
    ch, quiet = env.ch(), env.ch()
    q = ch.declare(exclusive=True).queue
    with Alarm(env, "memory") as alarm:
        quiet.sync()
        ch.publish("", q, "one")
        eq(ch.conn.expect(0, "connection.blocked").reason, "low on memory")
        eq(_state(env, ch.conn), "blocked")
        # CON-28: asked RabbitMQ 3.10.8, a connection that did not publish is `blocking`
        eq(_state(env, quiet.conn), "blocking")
        eq([m.name for m in quiet.conn.events], [], "told only after a publish")
        alarm.clear("memory")
        ch.conn.expect(0, "connection.unblocked")
        until_count(ch, q, 1)
        eq(_state(env, ch.conn), "running")
    eq([m.name for m in ch.conn.events], [])


@case(node="alarm")
def test_ALM_02_disk_CON_27_reason(env):
    ch = env.ch()
    with Alarm(env, "disk"):
        ch.publish("", "nowhere")
        eq(ch.conn.expect(0, "connection.blocked").reason, "low on disk")
    ch.conn.expect(0, "connection.unblocked")


@case(node="alarm")
def test_CON_27_both_reasons(env):
    """asked RabbitMQ 3.10.8: the words are `low on disk & memory`."""
    ch = env.ch()
    with Alarm(env, "memory", "disk") as alarm:
        ch.publish("", "nowhere")
        eq(ch.conn.expect(0, "connection.blocked").reason, "low on disk & memory")
        alarm.clear("memory")
        try:
            m = ch.conn.expect(0, "connection.unblocked", timeout=0.5)
            raise AssertionError(f"{m} while the other alarm holds")
        except WaitTimeout:
            pass
    ch.conn.expect(0, "connection.unblocked")


@case(node="alarm")
def test_CON_27_publisher_stalls_consumers_go_on(env):
    feeder, consumer = env.ch(), env.ch()
    q = feeder.declare(env.name()).queue
    for i in range(5):
        feeder.publish("", q, str(i))
    until_count(feeder, q, 5)
    with Alarm(env, "disk"):
        consumer.qos(1)
        consumer.consume(q)
        for _ in range(5):
            consumer.ack(consumer.delivery().delivery_tag)
        consumer.sync()
        publisher = env.ch()
        publisher.confirm()
        publisher.publish("", q, "late")
        publisher.conn.expect(0, "connection.blocked")
        consumer.nothing(0.3)
    eq(publisher.wait("basic.ack").delivery_tag, 1)
    eq(consumer.delivery().body, b"late")
    feeder.delete(q)


@case(node="alarm")
def test_CON_27_only_with_the_capability(env):
    ch = env.ch(capabilities={})
    with Alarm(env, "disk"):
        ch.publish("", "nowhere")
        until(lambda: _state(env, ch.conn) == "blocked", "state blocked")
    until(lambda: _state(env, ch.conn) == "running", "state running")
    ch.sync()
    eq([m.name for m in ch.conn.events], [])


@case(node="alarm")
def test_CON_14_not_monitored_while_blocked(env):
    ch = env.ch(heartbeat=1)
    with Alarm(env, "disk"):
        ch.publish("", "nowhere")
        ch.conn.expect(0, "connection.blocked")
        deadline = time.monotonic() + 3.5
        while (left := deadline - time.monotonic()) > 0:
            try:
                ch.conn.pump(left)
            except WaitTimeout:
                break
    ch.conn.expect(0, "connection.unblocked")
    ch.sync()


@case(node="alarm")
def test_CON_29_close_of_a_blocked_connection(env):
    ch = env.ch()
    with Alarm(env, "disk"):
        ch.publish("", "nowhere")
        ch.conn.expect(0, "connection.blocked")
        env.ctl("close_all_connections", "bye")
        with closes_connection(320, "CONNECTION_FORCED - bye"):
            ch.conn.dies()


@case(node="alarm")
def test_ALM_05_visibility(env):
    seen = len(env.node.log_text())
    with Alarm(env, "memory", "disk"):
        text = env.ctl("cluster_status").out
        match(text, r"(?i)alarm")
        match(text, r"(?i)memory alarm on node " + re.escape(env.node.name))
        match(text, r"(?i)free disk space alarm on node " + re.escape(env.node.name))
        status = json.loads(env.ctl("--silent", "--formatter", "json", "cluster_status").out)
        eq(len(status["alarms"]), 2)
        match(env.ctl("status").out, r"(?i)memory alarm on node")
        done = env.ctl("check_local_alarms", tool="rabbitmq-diagnostics", check=False)
        eq(done.rc, 69)
        match(done.out + done.err, r"(?i)memory")
        eq(env.ctl("check_alarms", tool="rabbitmq-diagnostics", check=False).rc, 69)
        has(env.node.log_text()[seen:], "resource limit alarm set on node")
    eq(env.ctl("check_local_alarms", tool="rabbitmq-diagnostics").rc, 0)
    until(lambda: "alarm cleared" in env.node.log_text()[seen:], "log line about the cleared alarm")
    status = json.loads(env.ctl("--silent", "--formatter", "json", "cluster_status").out)
    eq(status["alarms"], [])


@case(node="alarm", table={"memory-text": ("set_vm_memory_high_watermark", "lots"),
                           "memory-negative": ("set_vm_memory_high_watermark", "-1"),
                           "disk-text": ("set_disk_free_limit", "lots")})
def test_ALM_01_02_bad_limits(env, command):
    done = env.ctl(*command, check=False)
    assert done.rc != 0, done
    eq(env.ctl("check_local_alarms", tool="rabbitmq-diagnostics").rc, 0)


@case(node="alarm", table={"absolute": ("absolute", "100GB"), "relative": ("0.5",)})
def test_ALM_01_watermark_forms(env, form):
    env.ctl("set_vm_memory_high_watermark", *form)
    env.ctl("set_vm_memory_high_watermark", "0.6")


# -- OBS-01, 06..08: what operators see --------------------------------------------------------------

@case()
def test_OBS_01_list_queues_table(env):
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.declare("q 1")
    ch.publish("", "q 1")
    until_count(ch, "q 1", 1)
    lines = env.ctl("list_queues", "-p", v).out.splitlines()
    eq(lines, ["Timeout: 60.0 seconds ...", f"Listing queues for vhost {v} ...", "name\tmessages",
               "q 1\t1"])
    eq(env.ctl("-q", "list_queues", "-p", v).out.splitlines(), ["name\tmessages", "q 1\t1"])
    eq(env.ctl("-s", "list_queues", "-p", v).out.splitlines(), ["q 1\t1"])
    eq(env.ctl("list_queues", "-p", v, "--no-table-headers").out.splitlines()[-1], "q 1\t1")
    m = ch.get("q 1")
    assert m
    eq(env.ctl("-s", "list_queues", "-p", v, "name", "messages_ready", "messages_unacknowledged",
               "consumers", "durable").out, "q 1\t0\t1\t0\tfalse\n")


@case(table={"json": lambda out: json.loads(out), "csv": lambda out: [
                 dict(zip(out.splitlines()[0].replace('"', "").split(","), row.replace('"', "").split(",")))
                 for row in out.splitlines()[1:]]})
def test_OBS_01_formatters(env, parse):
    v = env.vhost()
    env.ch(vhost=v).declare("q", durable=True)
    kind = "json" if "json" in parse.__code__.co_names else "csv"
    rows = parse(env.ctl("--quiet", "--formatter", kind, "list_queues", "-p", v, "name", "durable").out)
    eq([{k: str(x).lower() for k, x in r.items()} for r in rows], [{"name": "q", "durable": "true"}])


@case(table={"erlang": r"name.*<<\"q\">>", "pretty_table": r"q"})
def test_OBS_01_other_formatters(env, pattern):
    v = env.vhost()
    env.ch(vhost=v).declare("q")
    kind = "erlang" if "<<" in pattern else "pretty_table"
    match(env.ctl("--formatter", kind, "list_queues", "-p", v, "name").out, pattern)


@case(table={"queues": ("list_queues", "name\tmessages"), "exchanges": ("list_exchanges", "name\ttype"),
             "bindings": ("list_bindings", "source_name\tsource_kind\tdestination_name\tdestination_kind\t"
                          "routing_key\targuments"),
             "connections": ("list_connections", "user\tpeer_host\tpeer_port\tstate"),
             "channels": ("list_channels", "pid\tuser\tconsumer_count\tmessages_unacknowledged"),
             "consumers": ("list_consumers", "queue_name\tchannel_pid\tconsumer_tag\tack_required\t"
                           "prefetch_count\tactive\targuments"),
             "users": ("list_users", "user\ttags"), "vhosts": ("list_vhosts", "name"),
             "permissions": ("list_permissions", "user\tconfigure\twrite\tread")})
def test_OBS_01_default_columns(env, arg):
    """With a banner line and the header of the default columns."""
    ch = env.ch()
    ch.consume(ch.declare(exclusive=True).queue)
    lines = env.ctl(arg[0]).out.splitlines()
    match("\n".join(lines[:2]), "Listing ")
    has(lines[:3], arg[1])


@case()
def test_OBS_01_list_channels_and_bindings(env):
    v = env.vhost()
    ch = env.ch(vhost=v)
    ch.declare("q")
    ch.bind("q", "amq.topic", "a.#", {"k": 1})
    ch.confirm()
    ch.qos(5)
    ch.consume("q", "t")
    ch.publish("", "q")
    ch.delivery()
    rows = [r for r in env.rows("list_channels", "number", "user", "vhost", "consumer_count", "confirm",
                                "messages_unacknowledged", "prefetch_count", "transactional",
                                "messages_unconfirmed") if r["vhost"] == v]
    eq(rows, [{"number": 1, "user": "guest", "vhost": v, "consumer_count": 1, "confirm": True,
               "messages_unacknowledged": 1, "prefetch_count": 0, "transactional": False,
               "messages_unconfirmed": 0}] if rows and rows[0]["prefetch_count"] == 0 else
       [{"number": 1, "user": "guest", "vhost": v, "consumer_count": 1, "confirm": True,
         "messages_unacknowledged": 1, "prefetch_count": 5, "transactional": False,
         "messages_unconfirmed": 0}])
    lines = env.ctl("list_bindings", "-p", v).out.splitlines()
    eq(lines[0], f"Listing bindings for vhost {v}...")
    has([line.split("\t")[:5] for line in lines], ["amq.topic", "exchange", "q", "queue", "a.#"])
    has([line.split("\t")[:5] for line in lines], ["", "exchange", "q", "queue", "q"])


@case()
def test_OBS_01_options_online_offline_local(env):
    v = env.vhost()
    env.ch(vhost=v).declare("q", durable=True)
    eq([r["name"] for r in env.rows("list_queues", "name", vhost=v, options=("--online",))], ["q"])
    eq([r["name"] for r in env.rows("list_queues", "name", vhost=v, options=("--local",))], ["q"])
    eq(env.rows("list_queues", "name", vhost=v, options=("--offline",)), [])


@case()
def test_OBS_01_global_options_before_or_after(env):
    for line in (("list_vhosts", "--silent"), ("--silent", "list_vhosts"), ("list_vhosts", "-s", "name")):
        has(env.ctl(*line).out.splitlines(), "/")


@case()
def test_OBS_02_firehose(env):
    v = env.vhost()
    ch = env.ch(vhost=v)
    trace = ch.declare(exclusive=True).queue
    ch.bind(trace, "amq.rabbitmq.trace", "#")
    ch.exchange("x", "fanout")
    ch.declare("q")
    ch.bind("q", "x", "")
    ch.publish("x", "before")
    ch.sync()
    ch.purge("q")
    eq(count(ch, trace), 0, "off by default")
    has(env.ctl("trace_on", "-p", v).out, f'Starting tracing for vhost "{v}"')
    ch.consume("q", no_ack=True)
    ch.publish("x", "key", "body", {"message_id": "7", "headers": {"h": "v"}})
    ch.delivery()
    got = {}

    def both():
        m = ch.get(trace, no_ack=True)
        if m:
            got[m.routing_key] = m
        return len(got) >= 2
    until(both, "two traces")
    eq(sorted(got), ["deliver.q", "publish.x"])
    pub, dlv = got["publish.x"], got["deliver.q"]
    eq((pub.body, dlv.body), (b"body", b"body"))
    h = pub.headers
    eq((h["exchange_name"], h["routing_keys"], h["vhost"], h["user"], h["routed_queues"]),
       ("x", ["key"], v, "guest", ["q"]))
    eq((h["properties"]["message_id"], h["properties"]["headers"]["h"], h["channel"]), ("7", "v", 1))
    eq((h["node"], dlv.headers["redelivered"]), (env.node.name, 0))
    has(h["connection"], "->")
    env.ctl("trace_off", "-p", v)
    ch.publish("x", "key")
    ch.delivery()
    eq(ch.get(trace, no_ack=True), None)


@case(table={name: (name,) for name in ("ping", "check_running", "check_local_alarms", "check_alarms",
                                        "check_port_connectivity", "check_virtual_hosts",
                                        "is_running", "status", "server_version", "listeners")})
def test_OBS_06_health_checks_pass(env, command):
    eq(env.ctl(*command, tool="rabbitmq-diagnostics").rc, 0)


@case()
def test_OBS_06_check_port_listener(env):
    eq(env.ctl("check_port_listener", env.node.port, tool="rabbitmq-diagnostics").rc, 0)
    eq(env.ctl("check_port_listener", 1, tool="rabbitmq-diagnostics", check=False).rc, 69)
    eq(env.ctl("check_protocol_listener", "amqp", tool="rabbitmq-diagnostics").rc, 0)
    eq(env.ctl("check_protocol_listener", "mqtt", tool="rabbitmq-diagnostics", check=False).rc, 69)


@case(node="own")
def test_OBS_06_health_checks_fail_when_stopped(env):
    node = env.suite.nodes.make("stopped").start()
    node.ctl("stop_app")
    eq(node.ctl("ping", tool="rabbitmq-diagnostics").rc, 0, "the runtime answers")
    eq(node.ctl("check_running", tool="rabbitmq-diagnostics", check=False).rc, 69)
    # asked RabbitMQ 3.10.8: 64 (the command needs the app); 69 is the row's "unavailable"
    has((64, 69), node.ctl("list_queues", check=False).rc)
    node.ctl("start_app")
    eq(node.ctl("check_running", tool="rabbitmq-diagnostics").rc, 0)
    node.stop()
    eq(node.ctl("ping", tool="rabbitmq-diagnostics", check=False).rc, 69)


@case()
def test_OBS_06_http_twins(env):
    for path in ("/api/health/checks/alarms", "/api/health/checks/local-alarms",
                 "/api/health/checks/virtual-hosts", f"/api/health/checks/port-listener/{env.node.port}",
                 "/api/health/checks/protocol-listener/amqp091", "/api/aliveness-test/%2f"):
        status, answer = env.http("GET", path)
        eq((path, status, answer["status"]), (path, 200, "ok"))
    eq(env.http("GET", "/api/health/checks/port-listener/1")[0], 503)


@case(node="own")
def test_OBS_07_json_log_level_and_rotation(env):
    node = env.suite.nodes.make("jsonlog", logs_env=False,
                                config="log.file.formatter = json\nlog.file.level = info\n").start()
    ch = env.ch(port=node.port)
    ch.sync()

    def lines():
        return [json.loads(line) for line in node.log_text().splitlines()]
    until(lambda: any("authenticated" in str(x.get("msg")) for x in lines()), "the login line")
    for entry in lines():
        assert {"time", "level", "msg"} <= set(entry), entry
    eq({x["level"] for x in lines()} - {"debug", "info", "notice", "warning", "error", "critical"}, set())
    node.ctl("set_log_level", "debug")
    node.ctl("set_log_level", "warning")
    assert node.ctl("set_log_level", "loud", check=False).rc != 0
    seen = len(node.log_text())
    env.ch(port=node.port).conn.close()
    assert "authenticated" not in node.log_text()[seen:], "info lines at level warning"
    if env.oracle:  # 3.10.8 says that rotate_logs does nothing any more, exit 69
        return
    node.ctl("set_log_level", "info")
    os.rename(node.log, str(node.log) + ".0")
    node.ctl("rotate_logs")
    env.ch(port=node.port).sync()
    until(lambda: node.log.exists() and "authenticated" in node.log_text(), "lines in the new file")
    node.stop()


@case()
def test_OBS_08_connection_log_lines(env):
    seen = len(env.node.log_text())
    polite, rude = env.conn(), env.conn()
    ports = [c.sock.getsockname()[1] for c in (polite, rude)]
    polite.channel()
    polite.close()
    rude.shut()

    def lines(port):
        return [x for x in env.node.log_text()[seen:].splitlines() if f"127.0.0.1:{port} ->" in x]
    for port in ports:
        until(lambda p=port: len(lines(p)) >= 3, "three lines per connection")
        has(lines(port)[0], "accepting AMQP connection")
        has(lines(port)[1], "user 'guest' authenticated and granted access to vhost '/'")
        has(lines(port)[2], "closing AMQP connection")
    has(lines(ports[0])[2], "[info]")
    has(lines(ports[1])[2], "[warning]")
    has(env.node.log_text()[seen:], "client unexpectedly closed TCP connection")


# -- OTH-05: plugins ---------------------------------------------------------------------------------

@case(node="own")
def test_OTH_05_plugins(env):
    """enable starts the management without a restart; the file is a list in Erlang's form."""
    node = env.suite.nodes.make("plugins")
    node.config_path.write_text(f"management.tcp.port = {node.http_port}\n"
                                "management.tcp.ip = 127.0.0.1\n")
    node.start()
    plugins = lambda *a, **kw: node.ctl(*a, tool="rabbitmq-plugins", **kw)  # noqa: E731
    match(plugins("list").out, r"\[  \] rabbitmq_management ")
    eq(plugins("is_enabled", "rabbitmq_management", check=False).rc != 0, True)
    plugins("enable", "rabbitmq_management")
    match(node.plugins_path.read_text(), r"^\[rabbitmq_management\]\.\s*$")
    eq(until(lambda: _status(node, "/api/overview"), "the management API"), 200)
    match(plugins("list").out, r"\[E\*\] rabbitmq_management ")
    match(plugins("list").out, r"\[e\*\] rabbitmq_management_agent ")
    eq(plugins("is_enabled", "rabbitmq_management").rc, 0)
    eq(plugins("list", "-E", "-m", "--silent").out.split(), ["rabbitmq_management"])
    has(plugins("list", "-e", "-m", "--silent").out.split(), "rabbitmq_management_agent")
    plugins("disable", "rabbitmq_management")
    until(lambda: _status(node, "/api/overview") is None, "the management API to go")
    plugins("enable", "rabbitmq_event_exchange", "--offline")
    match(node.plugins_path.read_text(), r"^\[rabbitmq_event_exchange\]\.\s*$")
    plugins("set", "rabbitmq_management", "rabbitmq_event_exchange")
    eq(set(plugins("list", "-E", "-m", "--silent").out.split()),
       {"rabbitmq_management", "rabbitmq_event_exchange"})
    assert plugins("enable", "rabbitmq_no_such", check=False).rc != 0
    node.stop()


def _status(node, path):
    try:
        return node.http("GET", path)[0]
    except OSError:
        return None


# -- CON-02: what a probe of the port leaves in the log ----------------------------------------------

@case()
def test_CON_02_silent_probe_is_not_logged(env):
    """A connection is logged at info with its first byte only. Not yet asked of the oracle."""
    seen = len(env.node.log_text())
    probe = env.wire()
    port = probe.sock.getsockname()[1]
    probe.sock.close()
    talker = env.wire()
    talker.start()
    until(lambda: f":{talker.sock.getsockname()[1]} " in env.node.log_text()[seen:], "the talker's line")
    assert f":{port} " not in env.node.log_text()[seen:], "a probe must leave no line at info"


# -- CON-35: TLS -------------------------------------------------------------------------------------

def _openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


def _certificates(folder):
    """An authority, a server certificate for localhost, and a client certificate CN=client."""
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
             "ca.pem", "-days", "2", "-subj", "/CN=Conformance CA")
    for name, subject in (("server", "/CN=localhost"), ("client", "/O=Test/CN=client")):
        _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
                 f"{name}.csr", "-subj", subject)
        (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")


def _context(folder, client):
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if client:
        context.load_cert_chain(str(folder / "client.pem"), str(folder / "client.key"))
    return context


def _tls_node(env, name, extra):
    import node as node_mod
    made = env.suite.nodes.make(name, plugins=("rabbitmq_auth_mechanism_ssl",))
    _certificates(made.folder)
    port = node_mod.free_port()
    made.config_path.write_text(
        f"listeners.ssl.default = {port}\n"
        + "".join(f"ssl_options.{k} = {made.folder}/{v}\n" for k, v in (
            ("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key")))
        + "ssl_options.verify = verify_peer\nauth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN\n"
        + extra)
    made.start()
    return made, port


@case(node="own")
def test_CON_35_tls_and_external_by_common_name(env):
    node, port = _tls_node(env, "tls", "ssl_options.fail_if_no_peer_cert = false\n"
                           "ssl_cert_login_from = common_name\n")
    node.ctl("add_user", "client", "unused")
    node.ctl("set_permissions", "client", ".*", ".*", ".*")
    node.ctl("clear_password", "client")
    plain = env.conn(port=port, host="localhost", tls=_context(node.folder, False))
    q = plain.channel().declare(exclusive=True).queue
    ch = plain.channel()
    ch.publish("", q, os.urandom(300000))
    ch.sync()
    eq(len(ch.get(q, no_ack=True).body), 300000)
    conn = env.conn(port=port, host="localhost", tls=_context(node.folder, True),
                    mechanism="EXTERNAL", response=b"")
    conn.channel().sync()
    rows = json.loads(node.ctl("--silent", "--formatter", "json", "list_connections", "user", "ssl",
                               "auth_mechanism", "ssl_protocol", "peer_cert_subject").out)
    row = next(r for r in rows if r["auth_mechanism"] == "EXTERNAL")
    eq((row["user"], row["ssl"]), ("client", True))
    has(row["peer_cert_subject"], "CN=client")
    with closes_connection(403, "ACCESS_REFUSED - Login was refused"):
        env.conn(port=port, host="localhost", tls=_context(node.folder, False),
                 mechanism="EXTERNAL", response=b"")
    env.conn(port=node.port).channel().sync()
    node.stop()


@case(node="own")
def test_CON_35_distinguished_name_and_required_certificate(env):
    node, port = _tls_node(env, "tlsdn", "ssl_options.fail_if_no_peer_cert = true\n")
    node.ctl("add_user", "CN=client,O=Test", "unused")
    node.ctl("set_permissions", "CN=client,O=Test", ".*", ".*", ".*")
    env.conn(port=port, host="localhost", tls=_context(node.folder, True), mechanism="EXTERNAL",
             response=b"").channel().sync()
    try:
        env.conn(port=port, host="localhost", tls=_context(node.folder, False))
    except (OSError, Exception) as error:
        assert not isinstance(error, AssertionError), error
    else:
        raise AssertionError("a client without certificate was let in")
    node.stop()
