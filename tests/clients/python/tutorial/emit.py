import sys

import pika

exchange, kind, *messages = sys.argv[1:]
connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type=kind)
for key in messages:
    channel.basic_publish(exchange=exchange, routing_key=key, body="about " + key)
connection.close()
