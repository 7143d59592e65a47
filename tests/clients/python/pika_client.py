"""Pika against a broker: what a program does with a blocking connection, case by case."""

import datetime
import decimal
import os
import socket
import ssl
import threading
import time

import pika
from pika.exceptions import (AMQPConnectionError, ChannelClosedByBroker, NackError, UnroutableError)

from report import HOST, PORT, case, check, end, equal

# Set when the broker is to be reached over TLS: the authority of its certificate.
AUTHORITY = os.environ.get("AMQP_TLS_CA")
SECURED = {} if not AUTHORITY else {
    "ssl_options": pika.SSLOptions(ssl.create_default_context(cafile=AUTHORITY), "localhost")}
PARAMETERS = pika.ConnectionParameters(HOST, PORT, heartbeat=30, client_properties={
    "connection_name": "pika_client"}, **SECURED)


def name(stem):
    return f"pika.{stem}"


def connection(**more):
    parameters = PARAMETERS
    if more:
        parameters = pika.ConnectionParameters(HOST, PORT, **SECURED, **more)
    return pika.BlockingConnection(parameters)


def closes(code, action):
    """The channel must be closed by the broker with this code; gives the text."""
    with connection() as link:
        channel = link.channel()
        try:
            action(channel)
            channel.basic_qos(prefetch_count=0)  # waits for the broker, which has closed by then
        except ChannelClosedByBroker as why:
            equal(why.reply_code, code, "reply code")
            # The connection outlives its channel.
            again = link.channel()
            again.queue_declare("", exclusive=True)
            return why.reply_text
        raise AssertionError(f"not closed, wanted {code}")


def take(channel, queue, count, **more):
    """Consumes so many messages and acks them; gives [(method, properties, body)]."""
    found = []
    for item in channel.consume(queue, inactivity_timeout=10, **more):
        check(item[0] is not None, f"{len(found)} of {count} messages came from", queue)
        found.append(item)
        channel.basic_ack(item[0].delivery_tag)
        if len(found) == count:
            break
    channel.cancel()
    return found


def connect():
    with connection() as link:
        capabilities = link._impl.server_capabilities
        for key in ("basic.nack", "connection.blocked", "consumer_cancel_notify",
                    "exchange_exchange_bindings", "publisher_confirms"):
            check(capabilities.get(key), "capability", key)
        check(link.is_open)
    try:
        connection(credentials=pika.PlainCredentials("guest", "wrong"))
    except AMQPConnectionError as why:
        check("ACCESS_REFUSED" in repr(why) or "403" in repr(why), repr(why))
    else:
        raise AssertionError("a wrong password was taken")
    try:
        connection(virtual_host="nowhere")
    except AMQPConnectionError as why:
        check("530" in repr(why) or "vhost" in repr(why).lower(), repr(why))
    else:
        raise AssertionError("an unknown virtual host was taken")


def declare():
    with connection() as link:
        channel = link.channel()
        queue = name("declare")
        equal(channel.queue_declare(queue, durable=True).method.message_count, 0, "messages")
        channel.basic_publish("", queue, b"one")
        channel.basic_publish("", queue, b"two")
        deadline = time.monotonic() + 10
        while channel.queue_declare(queue, passive=True).method.message_count != 2:
            check(time.monotonic() < deadline, "two messages never counted")
        equal(channel.queue_purge(queue).method.message_count, 2, "purged")
        channel.exchange_declare(name("x"), "direct", durable=True)
        channel.exchange_declare(name("x"), passive=True)
        channel.queue_bind(queue, name("x"), "k")
        channel.queue_unbind(queue, name("x"), "k")
        channel.exchange_delete(name("x"))
        equal(channel.queue_delete(queue).method.message_count, 0, "deleted with")


def confirms():
    with connection() as link:
        channel = link.channel()
        channel.confirm_delivery()
        queue = name("confirms")
        channel.queue_declare(queue, durable=True)
        for number in range(200):
            channel.basic_publish("", queue, str(number).encode(),
                                  pika.BasicProperties(delivery_mode=2))
        bodies = [int(body) for _, _, body in take(channel, queue, 200)]
        equal(bodies, list(range(200)), "order")
        try:
            channel.basic_publish("", name("nowhere"), b"", mandatory=True)
            raise AssertionError("an unroutable message was not returned")
        except UnroutableError as why:
            equal(why.messages[0].method.reply_code, 312, "return code")
        channel.queue_declare(name("full"), arguments={"x-max-length": 1,
                                                      "x-overflow": "reject-publish"})
        channel.basic_publish("", name("full"), b"fits")
        try:
            channel.basic_publish("", name("full"), b"one too many")
            raise AssertionError("a full queue took another")
        except NackError:
            pass
        channel.queue_delete(queue)
        channel.queue_delete(name("full"))


def prefetch_and_acks():
    with connection() as link:
        channel = link.channel()
        queue = name("prefetch")
        channel.queue_declare(queue)
        for number in range(10):
            channel.basic_publish("", queue, str(number).encode())
        channel.basic_qos(prefetch_count=3)
        got = []
        tag = channel.basic_consume(queue, lambda c, m, p, b: got.append((m, b)))
        until = time.monotonic() + 10
        while len(got) < 3 and time.monotonic() < until:
            link.process_data_events(0.1)
        link.process_data_events(0.3)
        equal([b for _, b in got], [b"0", b"1", b"2"], "prefetched")
        channel.basic_ack(got[2][0].delivery_tag, multiple=True)
        while len(got) < 6 and time.monotonic() < until:
            link.process_data_events(0.1)
        equal([b for _, b in got[3:]], [b"3", b"4", b"5"], "next window")
        # nack without requeue drops, reject with requeue brings back in place.
        channel.basic_cancel(tag)
        channel.basic_nack(got[3][0].delivery_tag, requeue=False)
        channel.basic_reject(got[4][0].delivery_tag, requeue=True)
        channel.basic_nack(got[5][0].delivery_tag, requeue=True)
        seen = []
        for _ in range(6):
            method, _, body = channel.basic_get(queue, auto_ack=True)
            check(method is not None, "seen only", seen)
            seen.append((body, method.redelivered))
        equal(seen, [(b"4", True), (b"5", True), (b"6", False), (b"7", False), (b"8", False),
                     (b"9", False)], "after requeue")
        equal(channel.basic_get(queue)[0], None, "left over")
        channel.queue_delete(queue)


def unacked_comes_back():
    with connection() as watcher:
        queue = name("comes_back")
        channel = watcher.channel()
        channel.queue_declare(queue)
        channel.basic_publish("", queue, b"work")
        crashing = connection()
        method, _, _ = crashing.channel().basic_get(queue)
        check(method is not None and not method.redelivered)
        crashing._impl._transport._sock.shutdown(socket.SHUT_RDWR)  # it goes without a word
        (method, _, body), = take(channel, queue, 1)
        equal((body, method.redelivered), (b"work", True), "came back as")
        channel.queue_delete(queue)


def exchanges():
    with connection() as link:
        channel = link.channel()

        def routes(kind, bindings, publishes):
            exchange = name("x." + kind)
            channel.exchange_declare(exchange, kind, auto_delete=True)
            queues = []
            for key, arguments in bindings:
                queue = channel.queue_declare("", exclusive=True).method.queue
                check(queue.startswith("amq.gen-"), queue)
                channel.queue_bind(queue, exchange, key, arguments)
                queues.append(queue)
            channel.confirm_delivery()
            for key, headers in publishes:
                channel.basic_publish(exchange, key, (key or str(headers)).encode(),
                                      pika.BasicProperties(headers=headers))
            found = []
            for queue in queues:
                bodies = []
                while True:
                    method, _, body = channel.basic_get(queue, auto_ack=True)
                    if method is None:
                        break
                    bodies.append(body.decode())
                found.append(bodies)
            return found

        equal(routes("fanout", [("", None), ("ignored", None)], [("a", None), ("b", None)]),
              [["a", "b"], ["a", "b"]], "fanout")
        equal(routes("direct", [("red", None), ("blue", None)], [("red", None), ("green", None)]),
              [["red"], []], "direct")
        long = ".".join(["w"] * 128)  # 255 bytes
        equal(len(long), 255)
        equal(routes("topic", [("*.orange.*", None), ("lazy.#", None), ("#", None), (long, None)],
                     [("quick.orange.fox", None), ("lazy", None), ("lazy.a.b.c", None),
                      ("orange", None), (long, None)]),
              [["quick.orange.fox"], ["lazy", "lazy.a.b.c"],
               ["quick.orange.fox", "lazy", "lazy.a.b.c", "orange", long], [long]], "topic")
        equal(routes("headers", [("", {"x-match": "all", "a": 1, "b": "x"}),
                                 ("", {"x-match": "any", "a": 1, "b": "x"})],
                     [("1", {"a": 1, "b": "x"}), ("2", {"a": 1}), ("3", {"c": 1})]),
              [["1"], ["1", "2"]], "headers")


def direct_reply_to():
    with connection() as server_link, connection() as client_link:
        server, client = server_link.channel(), client_link.channel()
        queue = name("rpc")
        server.queue_declare(queue)
        replies = []
        client.basic_consume("amq.rabbitmq.reply-to",
                             lambda c, m, p, b: replies.append((p.correlation_id, b)),
                             auto_ack=True)
        for number in range(3):
            client.basic_publish("", queue, str(number).encode(), pika.BasicProperties(
                reply_to="amq.rabbitmq.reply-to", correlation_id=f"c{number}"))
        for method, properties, body in take(server, queue, 3):
            check(properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to)
            server.basic_publish("", properties.reply_to, body * 2,
                                 pika.BasicProperties(correlation_id=properties.correlation_id))
        until = time.monotonic() + 10
        while len(replies) < 3 and time.monotonic() < until:
            client_link.process_data_events(0.1)
        equal(replies, [("c0", b"00"), ("c1", b"11"), ("c2", b"22")], "replies")
        server.queue_delete(queue)


def transactions():
    with connection() as link, connection() as other_link:
        channel, other = link.channel(), other_link.channel()
        queue = name("tx")
        channel.queue_declare(queue)
        channel.tx_select()
        channel.basic_publish("", queue, b"rolled back")
        channel.tx_rollback()
        channel.basic_publish("", queue, b"kept")
        equal(other.basic_get(queue)[0], None, "before commit")
        channel.tx_commit()
        method, _, body = channel.basic_get(queue)
        equal(body, b"kept", "after commit")
        channel.basic_ack(method.delivery_tag)
        channel.tx_rollback()  # the ack as well
        channel.basic_ack(method.delivery_tag)
        channel.tx_commit()
        equal(other.queue_declare(queue, passive=True).method.message_count, 0, "left")
        channel.queue_delete(queue)


def returns():
    with connection() as link:
        channel = link.channel()
        back = []
        channel.add_on_return_callback(lambda c, m, p, b: back.append((m, p, b)))
        channel.basic_publish("amq.direct", "nobody", b"return me",
                              pika.BasicProperties(message_id="m1"), mandatory=True)
        until = time.monotonic() + 10
        while not back and time.monotonic() < until:
            link.process_data_events(0.1)
        method, properties, body = back[0]
        equal((method.reply_code, method.reply_text, method.exchange, method.routing_key,
               properties.message_id, body),
              (312, "NO_ROUTE", "amq.direct", "nobody", "m1", b"return me"), "returned")


def short_lived_queues():
    with connection() as watch:
        watcher = watch.channel()
        link = connection()
        channel = link.channel()
        exclusive = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_declare(name("auto"), auto_delete=True)
        tag = channel.basic_consume(name("auto"), lambda *_: None)
        watcher.queue_declare(name("auto"), passive=True)
        channel.basic_cancel(tag)
        gone(watch, name("auto"))
        link.close()
        gone(watch, exclusive)
        watcher = watch.channel()
        watcher.queue_declare(name("expires"), arguments={"x-expires": 100})
        until = time.monotonic() + 10
        while time.monotonic() < until:
            time.sleep(0.3)
            try:
                gone(watch, name("expires"))
                return
            except AssertionError:
                pass
        raise AssertionError("the queue did not expire")


def gone(link, queue):
    channel = link.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except ChannelClosedByBroker as why:
        equal(why.reply_code, 404, queue)
        return
    channel.close()
    raise AssertionError(f"{queue} is still there")


def cancel_notification():
    with connection() as link:
        channel = link.channel()
        channel.queue_declare(name("cancelled"))
        cancelled = []
        channel.add_on_cancel_callback(lambda frame: cancelled.append(frame))
        tag = channel.basic_consume(name("cancelled"), lambda *_: None)
        other = link.channel()
        other.queue_delete(name("cancelled"))
        until = time.monotonic() + 10
        while not cancelled and time.monotonic() < until:
            link.process_data_events(0.1)
        equal(cancelled[0].method.consumer_tag, tag, "cancelled")


def large_bodies():
    with connection() as link:
        channel = link.channel()
        channel.confirm_delivery()
        queue = name("large")
        channel.queue_declare(queue, durable=True)
        frame = 131072 - 8
        bodies = [b"", b"x", os.urandom(frame), os.urandom(frame + 1), os.urandom(1 << 20),
                  os.urandom(5 << 20)]
        for body in bodies:
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
        equal([b for _, _, b in take(channel, queue, len(bodies))] == bodies, True, "bodies")
        channel.queue_delete(queue)


def properties():
    with connection() as link:
        channel = link.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        headers = {
            "text": "grün", "int": 7, "negative": -7, "big": 1 << 40, "true": True, "false": False,
            "none": None, "bytes": b"\x00\xff", "decimal": decimal.Decimal("3.14"),
            "time": datetime.datetime(2026, 11, 22, 1, 2, 3), "list": [1, "two", [3], {"f": 4}],
            "table": {"in": {"deeper": [None, True]}}, "empty": {}, "long": "x" * 2000}
        sent = pika.BasicProperties("text/plain", "utf-8", headers, 2, 5, "corr", "back", "60000",
                                    "id", 1700000000, "kind", "guest", "app", "cluster")
        channel.basic_publish("", queue, b"p", sent)
        (_, got, _), = take(channel, queue, 1)
        equal(got.headers, headers, "headers")
        for key in ("content_type", "content_encoding", "delivery_mode", "priority",
                    "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type",
                    "user_id", "app_id", "cluster_id"):
            equal(getattr(got, key), getattr(sent, key), key)


def channel_errors():
    check("no queue" in closes(404, lambda c: c.queue_declare(name("missing"), passive=True)))
    check("no exchange" in closes(404, lambda c: (
        c.confirm_delivery(), c.basic_publish(name("missing.x"), "k", b""))))
    closes(404, lambda c: c.basic_consume(name("missing"), lambda *_: None))
    closes(403, lambda c: c.queue_declare("amq.mine"))
    closes(403, lambda c: c.exchange_delete("amq.direct"))
    closes(406, lambda c: (c.queue_declare(name("other")), c.queue_declare(name("other"),
                                                                         durable=True)))
    closes(406, lambda c: c.basic_ack(99))
    closes(406, lambda c: (c.basic_publish("", name("other"), b""),
                           c.queue_delete(name("other"), if_empty=True)))
    closes(406, lambda c: c.basic_publish("", name("other"), b"", pika.BasicProperties(
        user_id="somebody")))
    with connection() as holder:
        queue = holder.channel().queue_declare(name("held"), exclusive=True).method.queue
        closes(405, lambda c: c.queue_declare(queue, passive=True))
    with connection() as link:
        link.channel().queue_delete(name("other"))


def connection_errors():
    link = connection()
    link.channel().queue_declare(name("survives"), durable=True)
    try:
        # A method on a channel that was never opened: 504, the whole connection goes.
        link._impl._send_method(77, pika.spec.Basic.Ack(1))
        link._flush_output()
        link.process_data_events(5)
        raise AssertionError("the connection stayed")
    except pika.exceptions.ConnectionClosedByBroker as why:
        equal(why.reply_code, 504, "reply code")
    with connection() as again:
        again.channel().queue_delete(name("survives"))


def threads():
    """Several connections at once, each publishing to one queue that one consumes."""
    queue, count = name("threads"), 4

    def publish(which):
        with connection() as link:
            channel = link.channel()
            channel.confirm_delivery()
            for number in range(50):
                channel.basic_publish("", queue, f"{which} {number}".encode())

    with connection() as link:
        channel = link.channel()
        channel.queue_declare(queue)
        workers = [threading.Thread(target=publish, args=(which,)) for which in range(count)]
        for worker in workers:
            worker.start()
        got = [b.decode().split() for _, _, b in take(channel, queue, count * 50)]
        for worker in workers:
            worker.join()
        for which in range(count):
            equal([int(n) for w, n in got if int(w) == which], list(range(50)), "order")
        channel.queue_delete(queue)


for function in (connect, declare, confirms, prefetch_and_acks, unacked_comes_back, exchanges,
                 direct_reply_to, transactions, returns, short_lived_queues, cancel_notification,
                 large_bodies, properties, channel_errors, connection_errors, threads):
    case(function.__name__, function)
end()
