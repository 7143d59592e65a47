"""Clients see one broker, whichever node they are on (CLU-15, CLU-19), also while one is dead.

"""

import threading
import time

import pika
from harness import case, check, closes, eq, shows, until, within
from traffic import PERSISTENT

ALL = ("n1", "n2", "n3")
HOME_IS_DOWN = "home node 'rabbit@n3' of durable queue '[a-z]+' in vhost '/' is down or inaccessible"


def queue_at(bed, name, queue, **more):
    """Declares a durable queue whose home is that node (it is where it is declared)."""
    channel = bed.channel(name, confirm=True)
    channel.queue_declare(queue, durable=True, **more)
    return channel


@case()
def test_CLU_19_any_queue_from_any_node(bed):
    """Declared on one node; published, got, consumed, purged and deleted on the others."""
    queue_at(bed, "n2", "letters")
    for name in ALL:
        bed.channel(name, confirm=True).basic_publish("", "letters", f"from {name}", PERSISTENT, mandatory=True)
    channel = bed.channel("n3")
    eq(channel.queue_declare("letters", durable=True).method.message_count, 3)
    method, _, body = channel.basic_get("letters")
    eq((body, method.redelivered, method.message_count), (b"from n1", False, 2))
    channel.basic_nack(method.delivery_tag, requeue=True)
    channel.queue_declare("letters", durable=True, passive=True)  # the nack has no answer; this comes behind it
    seen = []
    for method, _, body in bed.channel("n1").consume("letters", auto_ack=True, inactivity_timeout=10):
        seen.append((body, method and method.redelivered))
        if len(seen) == 3:
            break
    eq(seen, [(b"from n1", True), (b"from n2", False), (b"from n3", False)])
    channel.queue_purge("letters")
    bed.channel("n1").queue_delete("letters")
    with closes(404, "no queue 'letters' in vhost '/'"):
        bed.channel("n2").queue_declare("letters", passive=True)


@case()
def test_CLU_19_declared_here_used_there_at_once(bed):
    """No gap between declare-ok on one node and use on another; nor after a delete."""
    here, there = bed.channel("n1"), bed.channel("n3")
    for number in range(60):
        name = f"quick.{number}"
        here.queue_declare(name, durable=bool(number % 2))
        here.exchange_declare(f"x.{number}", "direct")
        here.queue_bind(name, f"x.{number}", "key")
        there.queue_declare(name, passive=True)
        there.basic_publish(f"x.{number}", "key", str(number))
        until(lambda: there.basic_get(name, auto_ack=True)[0], f"the message of {name}", 5, pause=0.005)
        there.queue_delete(name)
        with closes(404):
            here.queue_declare(name, passive=True)
        here = here.connection.channel()


@case()
def test_CLU_19_order_and_credit_across_nodes(bed):
    """3000 messages over the cable: all, in order; prefetch holds on the far side too."""
    sender = queue_at(bed, "n1", "long")
    receiver = bed.channel("n2")
    receiver.basic_qos(prefetch_count=10)
    plain = bed.channel("n3")
    for number in range(3000):
        plain.basic_publish("", "long", str(number))
    plain.queue_declare("long", passive=True, durable=True)
    seen, window = [], []
    for method, _, body in receiver.consume("long", inactivity_timeout=10):
        check(method, "nothing came after", len(seen))
        seen.append(int(body))
        window.append(method.delivery_tag)
        if len(window) == 10:
            if len(seen) == 10:
                until(lambda: bed.rows("n3", "list_queues", "messages_unacknowledged")
                      == [{"messages_unacknowledged": 10}], "10 are held")
            receiver.basic_ack(window[-1], multiple=True)
            window = []
        if len(seen) == 3000:
            break
    eq(seen, list(range(3000)))
    eq(sender.queue_declare("long", durable=True, passive=True).method.message_count, 0)


@case(table={"direct-reply-to": True, "reply-queue": False})
def test_CLU_19_rpc_across_nodes(bed, direct):
    """The server is on one node, the client on another, the request queue on a third."""
    queue_at(bed, "n3", "rpc")

    def serve():
        channel = bed.channel("n2")
        for method, properties, body in channel.consume("rpc", inactivity_timeout=10):
            if method is None:
                return
            channel.basic_publish("", properties.reply_to, str(int(body) ** 2),
                                  pika.BasicProperties(correlation_id=properties.correlation_id))
            channel.basic_ack(method.delivery_tag)
            if body == b"40":
                return
    server = threading.Thread(target=serve, daemon=True)
    server.start()
    client = bed.channel("n1")
    reply_to = "amq.rabbitmq.reply-to" if direct else client.queue_declare("", exclusive=True).method.queue
    replies = {}
    client.basic_consume(reply_to, lambda _c, _m, p, b: replies.update({p.correlation_id: int(b)}), auto_ack=True)
    for number in range(41):
        client.basic_publish("", "rpc", str(number), pika.BasicProperties(
            reply_to=reply_to, correlation_id=str(number)))
    deadline = time.monotonic() + 15
    while len(replies) < 41 and time.monotonic() < deadline:
        client.connection.process_data_events(0.2)
    eq(replies, {str(number): number ** 2 for number in range(41)})
    server.join(15)


@case()
def test_CLU_19_exchanges_fan_out_to_every_node(bed):
    """One publish reaches queues whose homes are three nodes; each has it once."""
    bed.channel("n1").exchange_declare("news", "fanout")
    for name in ALL:
        queue_at(bed, name, f"q.{name}").queue_bind(f"q.{name}", "news")
    publisher = bed.channel("n2", confirm=True)
    for number in range(50):
        publisher.basic_publish("news", "", str(number), PERSISTENT)
    for name in ALL:
        eq(bed.drain("n1", f"q.{name}"), [str(number) for number in range(50)])


@case()
def test_CLU_19_exclusive_is_exclusive_everywhere(bed):
    """A queue of a connection on n1 is locked for n2; it goes with its connection, seen from n2."""
    owner = bed.channel("n1")
    owner.queue_declare("mine", exclusive=True)
    for attempt in ({"passive": True}, {"exclusive": True}):
        with closes(405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine'"):
            bed.channel("n2").queue_declare("mine", **attempt)
    owner.connection.close()

    def free():
        channel = bed.channel("n2")
        channel.queue_declare("mine", exclusive=True)
        return channel
    until(free, "the name is free on n2", 10)


@case(weight=6)
def test_CLU_19_exclusive_queue_of_a_dead_node(bed):
    """Pain 23: the node dies with its client; the name is free elsewhere within seconds, nothing lingers."""
    bed.channel("n3").queue_declare("mine", exclusive=True)
    bed.channel("n3").queue_declare("passing")
    bed["n3"].kill()

    def free():
        for queue, exclusive in (("mine", True), ("passing", False)):
            bed.channel("n2").queue_declare(queue, exclusive=exclusive)
        return True
    until(free, "both names are free on n2", 15)


@case(weight=6)
def test_CLU_19_queue_whose_node_is_down(bed):
    """A durable queue of a dead node: listed as down, 404 with the node's name; never a false confirm."""
    queue_at(bed, "n3", "away").basic_publish("", "away", "kept", PERSISTENT)
    bed["n3"].kill()
    until(lambda: bed.running("n1") == {"n1", "n2"}, "n3 is seen as down", 20)
    for use in (lambda c: c.queue_declare("away", durable=True, passive=True), lambda c: c.basic_get("away"),
                lambda c: c.queue_declare("away", durable=True), lambda c: c.queue_purge("away"),
                lambda c: c.basic_consume("away", print), lambda c: c.queue_bind("away", "amq.fanout")):
        with closes(404, HOME_IS_DOWN):
            use(bed.channel("n1"))
    eq(bed.rows("n1", "list_queues", "name", "state"), [{"name": "away", "state": "down"}])
    eq(bed.rows("n1", "list_queues", "name", options=("--online",)), [])
    eq(bed.rows("n2", "list_queues", "name", options=("--offline",)), [{"name": "away"}])
    bed.start("n3")
    until(lambda: bed.drain("n1", "away") == ["kept"], "the message is back", 20)


@case(weight=6, oracle=False)
def test_CLU_19_no_confirm_for_a_queue_that_is_down(bed):
    """RabbitMQ acks such a publish and loses it; ours is nacked, or confirmed once it is really stored."""
    queue_at(bed, "n3", "away")
    bed["n3"].kill()
    until(lambda: bed.running("n1") == {"n1", "n2"}, "n3 is seen as down", 20)
    outcome = []

    def publish():
        try:
            bed.channel("n1", confirm=True).basic_publish("", "away", "is it there?", PERSISTENT)
            outcome.append("ack")
        except pika.exceptions.AMQPError as why:
            outcome.append(type(why).__name__)
    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    thread.join(5)
    check(outcome != ["ack"], "confirmed while nobody could store it")
    bed.start("n3")
    thread.join(30)
    found = bed.drain("n1", "away", settle=1)
    check(outcome == ["ack"] and found == ["is it there?"] or outcome != ["ack"], outcome, found)


@case(weight=6)
def test_CNS_consumer_of_a_dead_nodes_queue_is_cancelled(bed):
    """basic.cancel from the server, on a connection that lives on."""
    queue_at(bed, "n3", "away")
    channel, cancelled = bed.channel("n1"), []
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume("away", print)
    bed["n3"].kill()
    deadline = time.monotonic() + 15
    while not cancelled and time.monotonic() < deadline:
        channel.connection.process_data_events(0.2)
    check(cancelled, "no cancel")
    check(channel.is_open, "the channel is closed")


@case()
def test_CLU_19_lists_cover_the_cluster(bed):
    """list_* from any node: queues, connections, channels, consumers of all; --local only its own."""
    for name in ALL:
        channel = queue_at(bed, name, f"q.{name}")
        channel.basic_consume(f"q.{name}", print)
    for name in ALL:
        eq({row["name"] for row in bed.rows(name, "list_queues", "name")}, {"q.n1", "q.n2", "q.n3"})
        eq([row["name"] for row in bed.rows(name, "list_queues", "name", options=("--local",))], [f"q.{name}"])
        eq(len(bed.rows(name, "list_connections", "pid")), 3, f"connections on {name}")
        eq(len(bed.rows(name, "list_channels", "pid")), 3, f"channels on {name}")
        eq({row["queue_name"] for row in bed.rows(name, "list_consumers", "queue_name")},
           {"q.n1", "q.n2", "q.n3"})
    shows(bed.ctl("n1", "list_connections", "pid").stdout, *(rf"^<rabbit@{name}\." for name in ALL))


@case()
def test_ACC_users_vhosts_and_policies_are_everywhere(bed):
    """Set on one node, in force on the next at once."""
    bed.ctl("n1", "add_vhost", "garden")
    bed.ctl("n2", "add_user", "kevin", "kevin")
    bed.ctl("n3", "set_permissions", "-p", "garden", "kevin", ".*", ".*", ".*")
    bed.ctl("n1", "set_policy", "-p", "garden", "short", ".*", '{"max-length":2}')
    for name in ALL:
        link = bed.connect(name, virtual_host="garden", credentials=pika.PlainCredentials("kevin", "kevin"))
        channel = link.channel()
        channel.confirm_delivery()
        channel.queue_declare(f"beds.{name}", durable=True)
        for number in range(5):
            channel.basic_publish("", f"beds.{name}", str(number))
        until(lambda: channel.queue_declare(f"beds.{name}", passive=True).method.message_count == 2,
              "the policy is in force")
    bed.ctl("n2", "delete_user", "kevin")
    for name in ALL:
        try:
            bed.connect(name, virtual_host="garden", credentials=pika.PlainCredentials("kevin", "kevin"))
            check(False, "a deleted user got in on", name)
        except pika.exceptions.AMQPConnectionError:
            pass


@case(ram=("n3",), weight=5)
def test_CLU_06_clients_of_a_ram_node(bed):
    """Declared through the RAM node, a durable queue is on a disc node: it survives the RAM node."""
    channel = bed.channel("n3", confirm=True)
    channel.queue_declare("kept", durable=True)
    channel.basic_publish("", "kept", "still here", PERSISTENT)
    bed["n3"].kill()
    if bed.oracle:
        bed.start("n3")
    until(lambda: bed.drain("n1", "kept") == ["still here"], "the message", 20)


# -- minorities ------------------------------------------------------------------------------------


@case(weight=20, oracle=False, conf="metadata_store.khepri.default_timeout = 6000\n")  # 30 s by itself
def test_CLU_15_changes_need_a_majority(bed):
    """Two of three down: a declare fails in time with a text that names who is missing; reads go on."""
    queue_at(bed, "n1", "here").basic_publish("", "here", "1", PERSISTENT)
    bed["n2"].kill()
    bed["n3"].kill()
    eq(bed.channel("n1").queue_declare("here", durable=True, passive=True).method.message_count, 1)
    with within(12, "the refusal"), closes(541, "n2.*n3|majority|quorum"):
        bed.channel("n1").queue_declare("new", durable=True)
    done = bed.ctl("n1", "-t", "20", "add_user", "kevin", "kevin", code=None, timeout=60)
    check(done.returncode not in (0, 64), "exit code", done.returncode)
    shows(done.stderr, "n2", "n3")
    shows(bed.ctl("n1", "cluster_status").stdout, "rabbit@n1")
    eq(bed.running("n1"), {"n1"})
    bed.start("n2")
    until(lambda: bed.channel("n1").queue_declare("new", durable=True), "declare works again", 20)


@case(weight=10, oracle=False)
def test_CLU_15_one_of_three_down_changes_nothing(bed):
    """Pain 5: with one member dead or stopped, declares and lists stay quick."""
    bed["n3"].pause()
    channel = bed.channel("n1")
    until(lambda: bed.running("n1") == {"n1", "n2"}, "n3 is seen as silent", 15)
    for what, call in (("declare", lambda: channel.queue_declare("new", durable=True)),
                       ("cluster_status", lambda: bed.status("n1")),
                       ("list_queues", lambda: bed.rows("n2", "list_queues", "name")),
                       ("add_user", lambda: bed.ctl("n2", "add_user", "kevin", "kevin"))):
        with within(3, what):
            call()
    bed["n3"].resume()
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})
    eq([row["name"] for row in bed.rows("n3", "list_queues", "name")], ["new"])
