import sys
import uuid

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
answers = channel.queue_declare(queue="", exclusive=True).method.queue
question = str(uuid.uuid4())
answer = None


def on_answer(ch, method, properties, body):
    global answer
    if properties.correlation_id == question:
        answer = body.decode()


channel.basic_consume(queue=answers, on_message_callback=on_answer, auto_ack=True)
channel.basic_publish(exchange="", routing_key="tutorial_rpc", body=sys.argv[1],
                      properties=pika.BasicProperties(reply_to=answers, correlation_id=question))
while answer is None:
    connection.process_data_events(time_limit=10)
print(answer)
connection.close()
