"""Whole-node flows: what survives a kill and a stop, and the tools as they are typed.

Each has a node of its own. Owner: tests/clients/run.
"""

import os
import re
import subprocess
import threading
import time

import pika


class Cases:
    """Counts cases in the form that the suite wants."""

    def __init__(self):
        self.good, self.bad = 0, []

    def run(self, name, function):
        try:
            function()
            self.good += 1
        except Exception as error:  # a case that fails must not end the others
            self.bad.append(f"{name}: {type(error).__name__}: {str(error)[:700]}")

    def result(self):
        return self.good, self.bad


def check(truth, *what):
    if not truth:
        raise AssertionError(" ".join(map(str, what)))


def connect(one, **more):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", one.port, **more))


def drain(one, queue):
    """[(body, redelivered)] of all that waits, each acknowledged."""
    found = []
    with connect(one) as link:
        channel = link.channel()
        while True:
            method, _, body = channel.basic_get(queue)
            if method is None:
                return found
            found.append((body.decode(), method.redelivered))
            channel.basic_ack(method.delivery_tag)


def publish_until_killed(one, queue, stem, confirmed, enough):
    """One publisher: notes what was confirmed, until its connection breaks."""
    try:
        channel = connect(one).channel()
        channel.confirm_delivery()
        for number in range(100000):
            channel.basic_publish("", queue, f"{stem} {number}",
                                  pika.BasicProperties(delivery_mode=2))
            confirmed.append(f"{stem} {number}")
            if len(confirmed) == 60:
                enough.release()
    except (pika.exceptions.AMQPError, OSError):
        pass


def nothing_confirmed_is_lost(one):
    """Three times: four publishers at work, kill -9, start again, look."""
    for turn in range(3):
        queue = f"durability.{turn}"
        with connect(one) as link:
            link.channel().queue_declare(queue, durable=True)
        enough = threading.Semaphore(0)
        lists = [[] for _ in range(4)]
        threads = [threading.Thread(target=publish_until_killed,
                                    args=(one, queue, f"p{number}", confirmed, enough))
                   for number, confirmed in enumerate(lists)]
        for thread in threads:
            thread.start()
        for _ in threads:
            check(enough.acquire(timeout=60), "the publishers do not get on")
        one.kill9()
        for thread in threads:
            thread.join(30)
        one.start()
        found = [body for body, _ in drain(one, queue)]
        for confirmed in lists:
            missing = set(confirmed) - set(found)
            check(not missing, f"turn {turn}: {len(missing)} confirmed messages are lost:",
                  sorted(missing)[:5])
            stem = confirmed[0].split()[0]
            numbers = [int(body.split()[1]) for body in found if body.startswith(stem + " ")]
            check(numbers == list(range(len(numbers))), f"turn {turn}: order or count:", numbers[-5:])
            check(len(numbers) <= len(confirmed) + 1, "more than was sent")


def nothing_acked_comes_back(one):
    """After a clean stop only what was not acknowledged is there, marked as redelivered."""
    link = connect(one)
    channel = link.channel()
    channel.confirm_delivery()
    channel.queue_declare("stopped", durable=True)
    channel.queue_declare("stopped.transient", durable=False)
    for number in range(100):
        channel.basic_publish("", "stopped", str(number), pika.BasicProperties(
            delivery_mode=2 if number != 55 else 1))
    for number in range(100):
        method, _, _ = channel.basic_get("stopped")
        if number % 2 == 0:
            channel.basic_ack(method.delivery_tag)
    channel.queue_declare("stopped", passive=True)  # all acks have arrived
    one.ctl("stop")
    one.process.wait(30)
    one.process = None
    one.start()
    found = drain(one, "stopped")
    wanted = [str(number) for number in range(1, 100, 2) if number != 55]
    check([body for body, _ in found] == wanted, "seen", found[:5], len(found))
    with connect(one) as link:
        try:
            link.channel().queue_declare("stopped.transient", passive=True)
            check(False, "a transient queue survived")
        except pika.exceptions.ChannelClosedByBroker as why:
            check(why.reply_code == 404, why)


def objects_survive(one):
    """Exchange, bindings and arguments are there after a kill right behind their declaration."""
    link = connect(one)
    channel = link.channel()
    channel.exchange_declare("kept.x", "topic", durable=True)
    channel.queue_declare("kept.q", durable=True, arguments={"x-max-length": 2})
    channel.queue_bind("kept.q", "kept.x", "a.#")
    one.kill9()
    one.start()
    with connect(one) as link:
        channel = link.channel()
        channel.confirm_delivery()
        for body in ("1", "2", "3"):
            channel.basic_publish("kept.x", "a.b", body, pika.BasicProperties(delivery_mode=2))
        channel.queue_declare("kept.q", durable=True, arguments={"x-max-length": 2})
    check([body for body, _ in drain(one, "kept.q")] == ["2", "3"], "binding or argument lost")


def unacked_after_kill(one):
    """What a consumer held when the node died comes back in its old order."""
    link = connect(one)
    channel = link.channel()
    channel.confirm_delivery()
    channel.queue_declare("held", durable=True)
    for number in range(20):
        channel.basic_publish("", "held", str(number), pika.BasicProperties(delivery_mode=2))
    for _ in range(7):
        channel.basic_get("held")
    one.kill9()
    one.start()
    found = [body for body, _ in drain(one, "held")]
    check(found == [str(number) for number in range(20)], found)


def durability(suite):
    cases = Cases()
    one = suite.node("durability").start()
    for function in (nothing_confirmed_is_lost, nothing_acked_comes_back, objects_survive,
                     unacked_after_kill):
        if one.process is None:  # the case before has failed half-way
            one.start()
        cases.run(function.__name__, lambda f=function: f(one))
    if one.process:
        one.stop()
    return cases.result()


class Shell:
    """Lines typed into a shell of one host: its PATH and environment know the node."""

    def __init__(self, one):
        self.one = one
        self.env = {**one.env, "PATH": f"{one.bin}:{os.environ['PATH']}"}

    def type(self, line, code=0):
        """Runs a line; gives its output, stdout and stderr together."""
        done = subprocess.run(["bash", "-c", line], env=self.env, cwd=self.one.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=90)
        check(done.returncode == code, f"`{line}`: exit {done.returncode}, wanted {code}:",
              done.stdout[-500:])
        return done.stdout

    def shows(self, line, *patterns, code=0):
        text = re.sub(r"\x1b\[[0-9;]*m", "", self.type(line, code))
        for pattern in patterns:
            check(re.search(pattern, text, re.M), f"`{line}` shows no {pattern!r}:", text[-700:])
        return text


def queues_exchanges_bindings(shell):
    """S14, with the notes' misspellings."""
    with connect(shell.one) as link:
        channel = link.channel()
        channel.queue_declare("task_queue", durable=True)
        channel.queue_declare("hello")
        channel.queue_bind("hello", "amq.topic", "a.*")
        for _ in range(3):
            channel.basic_publish("", "task_queue", "work")
        check(channel.basic_get("task_queue")[0], "no message")
        shell.shows("rabbitmqctl list_queues", r"^Timeout: ", r"^Listing queues for vhost / \.\.\.$",
                    r"^name\tmessages$", r"^task_queue\t3$", r"^hello\t0$")
        shell.shows("rabbitmqctl list_queues name messages_ready messages_unacknowledged",
                    r"^name\tmessages_ready\tmessages_unacknowledged$", r"^task_queue\t2\t1$",
                    r"^hello\t0\t0$")
        shell.shows("rabbitmqctl list_queues name message_ready message_unacknowledged",
                    r"message_ready", code=64)
        shell.shows("rabbitmqctl list_exchages", r"list_exchanges", code=64)
        shell.shows("rabbitmqctl list_exchanges", r"^name\ttype$", r"^amq\.direct\tdirect$",
                    r"^amq\.headers\theaders$", r"^\tdirect$")
        shell.shows("rabbitmqctl list_bindings",
                    r"^source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key"
                    r"\targuments$", r"^\texchange\thello\tqueue\thello\t\[\]$",
                    r"^amq\.topic\texchange\thello\tqueue\ta\.\*\t\[\]$")


def users(shell):
    """S16."""
    shell.shows("rabbitmqctl list_users", r"^Listing users \.\.\.$", r"^user\ttags$",
                r"^guest\t\[administrator\]$")
    shell.shows("rabbitmqctl add_user kevin kevin", r'^Adding user "kevin" \.\.\.$')
    shell.shows("rabbitmqctl add_user kevin kevin", r"already exists", code=70)
    shell.shows('rabbitmqctl set_permissions -p / kevin ".*" ".*" ".*"',
                r'^Setting permissions for user "kevin" in vhost "/" \.\.\.$')
    shell.shows("rabbitmqctl set_user_tags kevin administrator",
                r'^Setting tags for user "kevin" to \[administrator\] \.\.\.$')
    shell.shows("rabbitmqctl list_users", r"^kevin\t\[administrator\]$")
    with connect(shell.one, credentials=pika.PlainCredentials("kevin", "kevin")) as link:
        link.channel().queue_declare("", exclusive=True)
    shell.type("rabbitmqctl delete_user kevin")
    shell.type("rabbitmqctl delete_user kevin", code=67)


def application(shell):
    """S19 on one host: the application stops and starts, clients are told, nothing durable goes."""
    shell.shows("rabbitmqctl status", r"^Runtime$", r"RabbitMQ version: 3\.10", r"^Listeners$")
    shell.shows("rabbitmqctl cluster_status", r"^Basics$", r"^Disk Nodes$",
                rf"^{shell.one.name}$", r"^Running Nodes$")
    link = connect(shell.one)
    link.channel().queue_declare("kept", durable=True)
    shell.shows("rabbitmqctl stop_app", r"Stopping rabbit application on node " + shell.one.name)
    try:
        for _ in range(50):
            link.process_data_events(0.1)
        check(False, "the client was not told")
    except pika.exceptions.ConnectionClosedByBroker as why:
        check(why.reply_code == 320, why)
    check(not shell.one.answers(), "the stopped application answers")
    shell.type("rabbitmqctl list_queues", code=64)
    done = subprocess.run(["bash", "-c", "rabbitmqctl join_cluster --ram rabbit@nowhere"],
                          env=shell.env, cwd=shell.one.folder, capture_output=True, text=True,
                          timeout=60)
    check(done.returncode != 0, "joined a host that is not there")
    shell.shows("rabbitmqctl start_app", r"Starting node " + shell.one.name)
    shell.one.wait_ready()
    shell.shows("rabbitmqctl list_queues", r"^kept\t0$")
    shell.shows("rabbitmqctl --formatter erlang cluster_status", shell.one.name)


def stop_and_detached(shell):
    """S19: `stop`, then a start that leaves the shell at once."""
    one = shell.one
    shell.shows("rabbitmqctl stop", r"Stopping and halting node " + one.name)
    one.process.wait(30)
    one.process = None
    shell.type("rabbitmqctl status", code=69)
    shell.type("rabbitmq-server -detached")
    one.wait_ready(60)
    shell.shows("rabbitmqctl list_queues", r"^kept\t0$")
    shell.type("rabbitmqctl stop")
    until = time.monotonic() + 20
    while one.answers():
        check(time.monotonic() < until, "the node goes on after `stop`")
        time.sleep(0.1)


def notes_page(suite):
    """The commands of the notes page on one node, typed as they stand."""
    cases = Cases()
    shell = Shell(suite.node("notes").start())
    for function in (queues_exchanges_bindings, users, application, stop_and_detached):
        cases.run(function.__name__, lambda f=function: f(shell))
    if shell.one.process:
        shell.one.stop()
    else:
        subprocess.run(["bash", "-c", "rabbitmqctl stop"], env=shell.env, capture_output=True,
                       timeout=60)
    return cases.result()
