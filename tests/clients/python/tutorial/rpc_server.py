import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("localhost"))
channel = connection.channel()
channel.queue_declare(queue="tutorial_rpc")


def fib(number):
    return number if number < 2 else fib(number - 1) + fib(number - 2)


def on_request(ch, method, properties, body):
    ch.basic_publish(exchange="", routing_key=properties.reply_to, body=str(fib(int(body))),
                     properties=pika.BasicProperties(correlation_id=properties.correlation_id))
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue="tutorial_rpc", on_message_callback=on_request)
print("ready", flush=True)
channel.start_consuming()
