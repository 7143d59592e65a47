import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.queue_declare(queue="tutorial_tasks", durable=True)
for task in sys.argv[1:]:
    channel.basic_publish(exchange="", routing_key="tutorial_tasks", body=task,
                          properties=pika.BasicProperties(delivery_mode=2))
connection.close()
