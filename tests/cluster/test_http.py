"""The management API is of the cluster, whichever node is asked (OBS-03), and never waits for dead or hung nodes (D9)."""

import base64
import http.client
import json
import time
import urllib.parse

import pika
from harness import case, check, closes, eq, until
from traffic import PERSISTENT

ALL = ("n1", "n2", "n3")
PLUGIN = {"RABBITMQ_ENABLED_PLUGINS": "rabbitmq_management"}
IN_TIME = 1.0  # seconds, D9


class Answer:
    def __init__(self, status, text, took):
        self.status, self.text, self.took = status, text, took
        self.json = json.loads(text) if text.startswith(("{", "[")) else None


def ask(bed, name, method, path, body=None, code=200, user="guest", **headers):
    """A request to the API of that host, from the host itself; `code` is the status it must have."""
    begin = time.monotonic()
    link = http.client.HTTPConnection("127.0.0.1", 15672, timeout=10 * bed.slow)
    with bed[name].network():
        link.connect()
    key = base64.b64encode(f"{user}:{user}".encode()).decode()
    link.request(method, f"/api/{path}", None if body is None else json.dumps(body),
                 {"authorization": f"Basic {key}", "content-type": "application/json",
                  **{word.replace("_", "-"): value for word, value in headers.items()}})
    response = link.getresponse()
    answer = Answer(response.status, response.read().decode(), time.monotonic() - begin)
    link.close()
    if code is not None and answer.status != code:
        raise AssertionError(f"[{name}] {method} {path}: {answer.status} {answer.text[:400]}, wanted {code}")
    return answer


def get(bed, name, path, **more):
    return ask(bed, name, "GET", path, **more).json


def quoted(text):
    return urllib.parse.quote(text, safe="")


def by_name(rows):
    return {row["name"]: row for row in rows}


def on_all(bed, probe, what):
    """The probe is true on every node; figures of RabbitMQ come seconds later."""
    for name in ALL:
        until(lambda n=name: probe(n), f"{what} on {name}", 10 * bed.slow)


def queue_at(bed, name, queue, messages=0):
    channel = bed.channel(name, confirm=True)
    channel.queue_declare(queue, durable=True)
    for number in range(messages):
        channel.basic_publish("", queue, str(number), PERSISTENT)
    return channel


# -- what is where ---------------------------------------------------------------------------------


@case(env=PLUGIN)
def test_OBS_03_queues_of_every_node(bed):
    """The lists and the single queue, with the home's figures, from any node."""
    for count, name in enumerate(ALL, 1):
        queue_at(bed, name, f"q.{name}", count)
    bed.ctl("n1", "add_vhost", "garden")
    bed.ctl("n1", "set_permissions", "-p", "garden", "guest", ".*", ".*", ".*")
    bed.channel("n2", virtual_host="garden").queue_declare("beds", durable=True)
    wanted = {f"q.{name}": (bed[name].node, count) for count, name in enumerate(ALL, 1)}

    def seen(rows):
        return {row["name"]: (row["node"], row.get("messages_ready")) for row in rows}
    on_all(bed, lambda n: seen(get(bed, n, "queues/%2F")) == wanted, "the queues of /")
    on_all(bed, lambda n: seen(get(bed, n, "queues")) == {**wanted, "beds": (bed["n2"].node, 0)}, "all queues")
    for name in ALL:
        one = get(bed, name, "queues/%2F/q.n2")
        eq((one["node"], one["messages"], one["state"], one["arguments"], one["consumer_details"]),
           (bed["n2"].node, 2, "running", {}, []))
        eq(one["message_stats"]["publish"], 2)
        ask(bed, name, "GET", "queues/%2F/q.n4", code=404)
        page = get(bed, name, "queues?page=1&page_size=2&sort=messages_ready&sort_reverse=true&columns=name")
        eq((page["total_count"], page["items"]), (4, [{"name": "q.n3"}, {"name": "q.n2"}]))
        vhosts = by_name(get(bed, name, "vhosts"))
        eq((vhosts["/"]["messages"], vhosts["garden"]["messages"]), (6, 0))
        eq(set(vhosts["/"]["cluster_state"]), {bed[n].node for n in ALL})


@case(env=PLUGIN)
def test_OBS_03_connections_channels_consumers_of_every_node(bed):
    """A consumer's queue, client and asked node are three: each list and each single form knows it."""
    queue_at(bed, "n2", "letters")
    channel = bed.channel("n3", client_properties={"connection_name": "reader"})
    channel.basic_qos(prefetch_count=7)
    channel.basic_consume("letters", lambda *_: None, consumer_tag="here")
    channel.connection.process_data_events(0)
    on_all(bed, lambda n: len(get(bed, n, "connections")) == 2, "two connections")
    on_all(bed, lambda n: len(get(bed, n, "channels")) == 2, "two channels")
    on_all(bed, lambda n: len(get(bed, n, "consumers")) == 1, "one consumer")
    for name in ALL:
        reader = until(lambda n=name: [row for row in get(bed, n, "connections") if row.get("channels") == 1
                                       and row.get("user_provided_name") == "reader"],
                       "the reader with its channel", 10 * bed.slow)[0]
        eq((reader["node"], reader["user"], reader["vhost"], reader["channels"]),
           (bed["n3"].node, "guest", "/", 1))
        path = quoted(reader["name"])
        eq(get(bed, name, f"connections/{path}")["node"], bed["n3"].node)
        eq(len(get(bed, name, "connections/username/guest")), 2)
        eq(len(get(bed, name, "vhosts/%2F/connections")), 2)
        of_it, = get(bed, name, f"connections/{path}/channels")
        eq((of_it["node"], of_it["number"], of_it["connection_details"]["name"]),
           (bed["n3"].node, 1, reader["name"]))
        eq(of_it["connection_details"]["peer_port"], reader["peer_port"])
        one = get(bed, name, f"channels/{quoted(of_it['name'])}")
        eq([(c["consumer_tag"], c["queue"]) for c in one["consumer_details"]],
           [("here", {"name": "letters", "vhost": "/"})])
        consumer, = get(bed, name, "consumers/%2F")
        eq((consumer["consumer_tag"], consumer["queue"]["name"], consumer["ack_required"], consumer["prefetch_count"]),
           ("here", "letters", True, 7))
        eq((consumer["channel_details"]["name"], consumer["channel_details"]["node"],
            consumer["channel_details"]["connection_name"]), (of_it["name"], bed["n3"].node, reader["name"]))
        eq([c["consumer_tag"] for c in get(bed, name, "queues/%2F/letters")["consumer_details"]], ["here"])
        ask(bed, name, "GET", "connections/nobody", code=404)
        ask(bed, name, "GET", "channels/nobody", code=404)


@case(env=PLUGIN)
def test_OBS_03_users_see_their_own_on_every_node(bed):
    """The tag management: own connections and vhosts only, also those of other nodes."""
    bed.ctl("n1", "add_vhost", "garden")
    for user in ("kevin", "rose"):
        bed.ctl("n1", "add_user", user, user)
        bed.ctl("n1", "set_permissions", "-p", "garden", user, ".*", ".*", ".*")
        bed.ctl("n1", "set_user_tags", user, "management")
        bed.channel("n2", virtual_host="garden",
                    credentials=pika.PlainCredentials(user, user)).queue_declare(f"beds.{user}", durable=True)
    queue_at(bed, "n3", "hidden")
    until(lambda: len(get(bed, "n1", "connections")) == 3, "all connections", 10 * bed.slow)
    for name in ALL:
        rows = get(bed, name, "connections", user="kevin")
        eq([row["user"] for row in rows], ["kevin"])
        eq({row["name"] for row in get(bed, name, "queues", user="kevin")}, {"beds.kevin", "beds.rose"})
        eq(get(bed, name, "overview", user="kevin")["object_totals"]["queues"], 2)
        ask(bed, name, "GET", "queues/%2F", user="kevin", code=401)
        ask(bed, name, "GET", "nodes", user="kevin", code=401)


@case(env=PLUGIN)
def test_CON_29_close_a_connection_of_another_node(bed):
    """DELETE on any node: the client hears 320 with the reason, the connection is off every list."""
    for asked, path in (("n1", None), ("n2", None), ("n3", "connections/username/guest")):
        link = bed.connect("n2")
        row = until(lambda: get(bed, asked, "connections"), "the connection is listed", 10 * bed.slow)[0]
        ask(bed, asked, "DELETE", path or f"connections/{quoted(row['name'])}", code=204, x_reason=f"told by {asked}")
        with closes(320, f"CONNECTION_FORCED - told by {asked}", pika.exceptions.ConnectionClosedByBroker):
            link.process_data_events(10)
        until(lambda: get(bed, asked, "connections") == [], "off the list", 10 * bed.slow)
    ask(bed, "n1", "DELETE", f"connections/{quoted(row['name'])}", code=404)


@case(ram=("n3",), env=PLUGIN)
def test_OBS_03_nodes_and_overview(bed):
    """All members with their types and figures; totals and listeners of all; `node` is who was asked."""
    for name in ALL:
        queue_at(bed, name, f"q.{name}", 2)
    for name in ALL:
        rows = until(lambda n=name: (lambda r: all("mem_used" in row for row in r.values()) and r)(
            by_name(get(bed, n, "nodes"))), "the nodes' figures", 10 * bed.slow)
        eq({node: (row["type"], row["running"]) for node, row in rows.items()},
           {bed["n1"].node: ("disc", True), bed["n2"].node: ("disc", True), bed["n3"].node: ("ram", True)})
        for row in rows.values():
            for key in ("mem_used", "mem_limit", "disk_free", "fd_total", "proc_total", "uptime", "processors"):
                check(row[key] > 0, name, row["name"], key, row[key])
            eq(row["partitions"], [])
        eq(get(bed, name, f"nodes/{bed['n3'].node}")["type"], "ram")
        check(get(bed, name, f"nodes/{bed['n2'].node}/memory")["memory"]["total"], "the memory of n2")
        ask(bed, name, "GET", "nodes/rabbit@n9", code=500 if bed.oracle else 404)  # it trips over a name it never heard
        ask(bed, name, "GET", "nodes/rabbit@n9/memory", code=404)
        overview = until(lambda n=name: (lambda o: o["queue_totals"].get("messages") == 6 and o)(get(bed, n, "overview")),
                         "the totals", 10 * bed.slow)
        eq((overview["node"], overview["cluster_name"]), (bed[name].node, bed["n1"].node))
        eq({key: overview["object_totals"][key] for key in ("queues", "connections", "channels", "consumers")},
           {"queues": 3, "connections": 3, "channels": 3, "consumers": 0})
        eq({(row["node"], row["port"]) for row in overview["listeners"] if row["protocol"] == "amqp"},
           {(bed[n].node, 5672) for n in ALL})
        eq({row["node"] for row in overview["contexts"]}, {bed[n].node for n in ALL})


@case(env=PLUGIN)
def test_OBS_03_work_on_a_queue_of_another_node(bed):
    """Publish, get, purge, bind and delete through nodes that are not the queue's home."""
    queue_at(bed, "n2", "letters")
    for name in ("n1", "n3"):
        path = "exchanges/%2F/amq.default/publish"
        body = {"properties": {"delivery_mode": 2}, "routing_key": "letters", "payload_encoding": "string"}
        for number in range(3):
            eq(ask(bed, name, "POST", path, {**body, "payload": f"{name}.{number}"}).json, {"routed": True})
        how = {"count": 2, "encoding": "auto"}
        got = ask(bed, name, "POST", "queues/%2F/letters/get", {**how, "ackmode": "ack_requeue_true"}).json
        eq([(m["payload"], m["redelivered"]) for m in got], [(f"{name}.0", False), (f"{name}.1", False)])
        got = until(lambda n=name: ask(bed, n, "POST", "queues/%2F/letters/get", {**how, "ackmode": "ack_requeue_false"}).json,
                    "they are back", 5)
        eq([(m["payload"], m["redelivered"], m["properties"]["delivery_mode"]) for m in got],
           [(f"{name}.0", True, 2), (f"{name}.1", True, 2)])
        ask(bed, name, "DELETE", "queues/%2F/letters/contents", code=204)
        eq(ask(bed, name, "POST", "queues/%2F/letters/get", {**how, "ackmode": "ack_requeue_true"}).json, [])
        ask(bed, name, "PUT", "queues/%2F/letters", {"durable": True}, code=204)
        ask(bed, name, "PUT", "queues/%2F/letters", {"durable": False}, code=400)
        ask(bed, name, "POST", "bindings/%2F/e/amq.topic/q/letters", {"routing_key": "a.#"}, code=201)
        for other in ALL:
            eq([row["routing_key"] for row in get(bed, other, "queues/%2F/letters/bindings")], ["letters", "a.#"])
        binding, = get(bed, name, "bindings/%2F/e/amq.topic/q/letters")
        ask(bed, name, "DELETE", f"bindings/%2F/e/amq.topic/q/letters/{quoted(binding['properties_key'])}", code=204)
        eq(get(bed, "n2", "bindings/%2F/e/amq.topic/q/letters"), [])
    ask(bed, "n3", "DELETE", "queues/%2F/letters", code=204)
    for name in ALL:
        ask(bed, name, "GET", "queues/%2F/letters", code=404)
    ask(bed, "n1", "PUT", "queues/%2F/new", {"durable": True}, code=201)
    eq({get(bed, name, "queues/%2F/new")["node"] for name in ALL}, {bed["n1"].node})


@case(env=PLUGIN, weight=5, oracle=False)
def test_RQ_10_http_checks_before_a_node_goes(bed):
    """503 while the metadata would lose its majority with this node, or while it is drained; else 200."""
    critical, serves = "health/checks/node-is-quorum-critical", "health/checks/is-in-service"
    for path in (critical, serves):
        until(lambda p=path: get(bed, "n1", p) == {"status": "ok"}, path, 10)
    bed["n3"].kill()
    until(lambda: ask(bed, "n1", "GET", critical, code=None).status == 503, "n1 is needed", 15)
    bed.start("n3")
    until(lambda: ask(bed, "n1", "GET", critical, code=None).status == 200, "n1 may go", 15)
    bed.ctl("n1", "drain", tool="rabbitmq-upgrade")
    eq(ask(bed, "n1", "GET", serves, code=503).json["status"], "failed")
    check(by_name(get(bed, "n2", "nodes"))[bed["n1"].node]["being_drained"], "being_drained, seen from n2")
    bed.ctl("n1", "revive", tool="rabbitmq-upgrade")
    get(bed, "n1", serves)


# -- dead and hung nodes -------------------------------------------------------------------------------


def in_time(bed, name, method, path, body=None, code=200):
    """The best of three: the machine is busy with other tests, the broker is not to blame for it."""
    tries = []
    while len(tries) < 3 and (not tries or tries[-1].took > IN_TIME):
        tries.append(ask(bed, name, method, path, body, code=code))
    if tries[-1].took > IN_TIME:
        raise AssertionError(f"[{name}] {method} {path} took {[round(answer.took, 2) for answer in tries]} s")
    return tries[-1]


def read(bed, name, path, code=200):
    return in_time(bed, name, "GET", path, code=code).json


def read_all(bed, away):
    """Every list and every single form from the two that are left, and what it says of the third."""
    left = [name for name in ALL if name != away]
    for name in left:
        queues = by_name(read(bed, name, "queues"))
        eq({queue: (row["node"], row["state"]) for queue, row in queues.items()},
           {f"q.{n}": (bed[n].node, "down" if n == away else "running") for n in ALL})
        check("messages" not in queues[f"q.{away}"], "figures of a queue that is down")
        eq(queues[f"q.{away}"]["arguments"], {"x-max-length": 10})
        eq(set(by_name(read(bed, name, "queues/%2F"))), {f"q.{n}" for n in ALL})
        for n in ALL:
            one = read(bed, name, f"queues/%2F/q.{n}")
            eq((one["node"], one["state"]), (bed[n].node, "down" if n == away else "running"))
        eq({row["node"] for row in read(bed, name, "connections")}, {bed[n].node for n in left})
        eq({row["node"] for row in read(bed, name, "channels")}, {bed[n].node for n in left})
        eq({row["queue"]["name"] for row in read(bed, name, "consumers")}, {f"q.{n}" for n in left})
        nodes = by_name(read(bed, name, "nodes"))
        eq({node: row["running"] for node, row in nodes.items()}, {bed[n].node: n != away for n in ALL})
        eq(nodes[bed[away].node], {"name": bed[away].node, "type": "disc", "running": False})
        eq(read(bed, name, f"nodes/{bed[away].node}")["running"], False)
        eq(read(bed, name, f"nodes/{bed[away].node}/memory"), {"memory": "not_available"})
        overview = read(bed, name, "overview")
        eq((overview["object_totals"]["queues"], overview["object_totals"]["connections"]), (3, 2))
        eq({row["node"] for row in overview["listeners"]}, {bed[n].node for n in left})
        vhost = read(bed, name, "vhosts/%2F")
        eq((vhost["messages"], set(vhost["cluster_state"])), (2, {bed[n].node for n in left}))
        read(bed, name, "connections/nobody", code=404)
        read(bed, name, "exchanges")
        read(bed, name, "bindings")
        read(bed, name, "health/checks/alarms")


def one_queue_each(bed):
    for name in ALL:
        channel = bed.channel(name, confirm=True)
        channel.queue_declare(f"q.{name}", durable=True, arguments={"x-max-length": 10})
        channel.basic_publish("", f"q.{name}", "kept", PERSISTENT)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(f"q.{name}", lambda *_: None)
        channel.connection.process_data_events(0)


@case(env=PLUGIN, alone=True, weight=12, oracle=False)
def test_D9_http_with_a_killed_node(bed):
    """Answers within a second, at once and later; what lived there is shown as down, and refused with its name."""
    one_queue_each(bed)
    bed["n3"].kill()
    read_all(bed, "n3")
    for path, method, body in (("queues/%2F/q.n3/contents", "DELETE", None), ("queues/%2F/q.n3", "DELETE", None),
                               ("queues/%2F/q.n3", "PUT", {"durable": True, "arguments": {"x-max-length": 10}}),
                               ("queues/%2F/q.n3/get", "POST", {"count": 1, "encoding": "auto", "ackmode": "ack_requeue_true"})):
        # Until its silence counts as death, nobody can say whether it did what was asked: 503, but in time.
        said = until(lambda m=method, p=path, b=body: (
            lambda a: a.status != 503 and a)(in_time(bed, "n1", m, p, b, code=None)), "a word on it", 10)
        eq((said.status, said.json["reason"]), (404, "home node 'rabbit@n3' of durable queue 'q.n3' in vhost '/' is down or inaccessible"))
    bed.start("n3")
    until(lambda: by_name(get(bed, "n1", "queues"))["q.n3"].get("messages") == 1, "the queue is back", 20)
    until(lambda: all(row["running"] for row in get(bed, "n2", "nodes")), "all run", 20)


@case(env=PLUGIN, alone=True, weight=25, oracle=False)
def test_D9_http_with_a_hung_node(bed):
    """SIGSTOP: the same within a second, before and after the others have noticed."""
    one_queue_each(bed)
    bed["n3"].pause()
    for path, method, body in (("queues/%2F/q.n3/contents", "DELETE", None),
                               ("queues/%2F/q.n3/get", "POST", {"count": 1, "encoding": "auto", "ackmode": "ack_requeue_false"}),
                               ("exchanges/%2F/amq.default/publish", "POST",
                                {"properties": {}, "routing_key": "q.n3", "payload": "late", "payload_encoding": "string"})):
        answer = ask(bed, "n1", method, path, body, code=503)
        check(answer.took < IN_TIME * 1.5, path, "took", answer.took)
    read_all(bed, "n3")
    bed["n3"].resume()
    until(lambda: all(row["running"] for row in get(bed, "n1", "nodes")), "all run", 20)
    until(lambda: len(get(bed, "n2", "queues?columns=messages")[2]) == 1, "its queue answers", 20)


@case(env=PLUGIN, alone=True, weight=6, oracle=False)
def test_D9_a_get_that_came_too_late_takes_nothing(bed):
    """503 because the home hangs; it wakes and hands the messages out: they go back, although acks were wanted."""
    queue_at(bed, "n3", "kept", 3)
    bed["n3"].pause()
    ask(bed, "n1", "POST", "queues/%2F/kept/get", {"count": 5, "encoding": "auto", "ackmode": "ack_requeue_false"}, code=503)
    bed["n3"].resume()
    until(lambda: (lambda q: (q.get("messages_ready"), q["message_stats"]["get"]) == (3, 1))(
        get(bed, "n2", "queues/%2F/kept")), "handed out once, and back", 10)
    eq(bed.drain("n2", "kept"), ["0", "1", "2"])


@case(env=PLUGIN, alone=True, weight=8, oracle=False)
def test_D9_http_with_a_stopped_app(bed):
    """stop_app: the runtime answers at once that it has none; shown as a node that does not run."""
    one_queue_each(bed)
    bed.ctl("n3", "stop_app")
    read_all(bed, "n3")
    bed.ctl("n3", "start_app")
    until(lambda: by_name(get(bed, "n1", "queues"))["q.n3"].get("state") == "running", "the queue is back", 20)


@case(env=PLUGIN, conf="metadata_store.khepri.default_timeout = 2000\n", weight=15, oracle=False)
def test_D9_http_changes_end_in_time(bed):
    """A hung leader costs an election; without a majority a change is refused in time, with who is missing."""
    for name in ("n1", "n2", "n3"):  # one of them leads
        bed[name].pause()
        other = next(n for n in ("n1", "n2", "n3") if n != name)
        until(lambda o=other, n=name: ask(bed, o, "PUT", f"vhosts/without-{n}", {}, code=None).status in (201, 204),
              f"a change while {name} hangs", 15)
        bed[name].resume()
        until(lambda: bed.running(other) == {"n1", "n2", "n3"}, "all run", 20)
    bed["n2"].pause()
    bed["n3"].pause()
    for method, path, body in (("PUT", "users/late", {"password": "x", "tags": ""}), ("PUT", "queues/%2F/late", {"durable": True})):
        answer = ask(bed, "n1", method, path, body, code=None)
        check(answer.status in (500, 503) and answer.took < 8, path, answer.status, answer.took)
        check("rabbit@n2" in str(answer.json) and "rabbit@n3" in str(answer.json), path, answer.json)
    bed["n2"].resume()
    bed["n3"].resume()
    bed.until_running(("n1",), {"n1", "n2", "n3"}, 20)
