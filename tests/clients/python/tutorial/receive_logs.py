import sys

import pika

exchange, kind, *keys = sys.argv[1:]
connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type=kind)
result = channel.queue_declare(queue="", exclusive=True)
for key in keys:
    channel.queue_bind(exchange=exchange, queue=result.method.queue, routing_key=key)


def show(ch, method, properties, body):
    print(method.routing_key, body.decode(), flush=True)


channel.basic_consume(queue=result.method.queue, on_message_callback=show, auto_ack=True)
print("ready", flush=True)
channel.start_consuming()
