import time

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.queue_declare(queue="tutorial_tasks", durable=True)


def work(ch, method, properties, body):
    print("begun", body.decode(), method.redelivered, flush=True)
    time.sleep(body.count(b".") * 0.2)  # each dot is a piece of work
    print("done", body.decode(), flush=True)
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue="tutorial_tasks", on_message_callback=work)
print("ready", flush=True)
channel.start_consuming()
