"""Slow cables and commands at a change of role: CLU-28, CLU-29."""

import contextlib
import pathlib
import threading

import pika
from harness import case, check, eq, until
from traffic import LOST, PERSISTENT, Publisher

ALL = ("n1", "n2", "n3")
HOOKS = """
warren.on_leader_elected = echo "$WARREN_EVENT $WARREN_NODE $WARREN_TERM" >> /var/log/rabbitmq/hooks.txt
warren.on_leader_lost = echo "$WARREN_EVENT $WARREN_NODE $WARREN_TERM" >> /var/log/rabbitmq/hooks.txt
"""


class Flood(threading.Thread):
    """Publishes as fast as the broker takes it, without asking for confirms."""

    def __init__(self, bed, host, queue, size):
        super().__init__(daemon=True)
        self.link, self.queue, self.body, self.sent, self.over = bed.connect(host), queue, b"x" * size, 0, False
        bed.on_end(self.finish)
        self.start()

    def run(self):
        with contextlib.suppress(*LOST):
            channel = self.link.channel()
            while not self.over:
                channel.basic_publish("", self.queue, b"%d " % self.sent + self.body, PERSISTENT)
                self.sent += 1

    def finish(self):
        self.over = True


def rss_mb(bed, name):
    pid = bed[name].servers()[0]
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 2**20


@case(weight=20, oracle=False)
def test_CLU_28_a_slow_cable(bed):
    """1 Mbit/s to n3: who floods its queue waits, n1's memory stays, all other work goes on, nobody is held dead."""
    for name in ("n1", "n3"):
        channel = bed.channel(name)
        channel.queue_declare(f"on.{name}", durable=True)
        channel.connection.close()
    near = [Publisher(bed, name, "on.n1") for name in ("n1", "n2")]
    bed.rate(125, "n3")
    for publisher in near:
        publisher.wait_more(20)
    before = rss_mb(bed, "n1")
    flood = Flood(bed, "n1", "on.n3", 64 << 10)
    until(lambda: flood.sent > 20, "the flood begins")
    most, rows = 0, []
    for _ in range(5):
        for publisher in near:
            publisher.wait_more(100, 20)
        eq(bed.running("n1"), set(ALL), "running, seen from n1")
        bed.channel("n2").queue_declare(f"made.{len(rows)}")
        most = max(most, rss_mb(bed, "n1"))
        rows.append(flood.sent)
    check(most - before < 160, f"n1 grew from {before} to {most} MB")
    check(rows[-1] - rows[2] < 150, "nobody made the flood wait:", rows)  # 150 would be 10 MB
    flood.over = True
    bed.rate(0)
    flood.join(30)
    check(not flood.is_alive(), "the flood stands still on a fast cable")
    for publisher in near:
        publisher.wait_more(20)
        publisher.finish()
    asked = bed.channel("n2")
    until(lambda: asked.queue_declare("on.n3", passive=True).method.message_count == flood.sent, "all arrives", 30,
          last=lambda: (asked.queue_declare("on.n3", passive=True).method.message_count, flood.sent))


# -- hooks -----------------------------------------------------------------------------------------


def told(bed, name):
    path = bed[name].log / "hooks.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def last(bed, name):
    lines = told(bed, name)
    return lines[-1][0] if lines else None


@case(conf=HOOKS, oracle=False)
def test_CLU_29_commands_at_a_change_of_the_leader(bed):
    def leaders():
        return [name for name in ALL if bed[name].servers() and last(bed, name) == "leader_elected"]
    until(lambda: len(leaders()) == 1, "one was told that it leads", 10, last=lambda: {n: told(bed, n) for n in ALL})
    first = leaders()[0]
    eq(told(bed, first)[-1][1], f"rabbit@{first}")
    bed[first].kill()
    until(lambda: len(leaders()) == 1, "another one leads", 10, last=lambda: {n: told(bed, n) for n in ALL})
    second = leaders()[0]
    check(int(told(bed, second)[-1][2]) > int(told(bed, first)[-1][2]), "terms", told(bed, first), told(bed, second))
    bed.start(first)
    bed.until_running(ALL, set(ALL))
    bed.ctl(second, "stop_app")
    until(lambda: last(bed, second) == "leader_lost", "the one that stopped was told", 10, last=lambda: told(bed, second))
    until(lambda: len([n for n in leaders() if n != second]) >= 1, "a third time", 10)
    for name in ALL:
        words = [line[0] for line in told(bed, name)]
        check(all(a != b for a, b in zip(words, words[1:]) if a == "leader_lost"), name, words)


@case(1, conf="warren.on_leader_elected = sleep 1000 & sleep 1000\nwarren.hook_timeout = 500\n", joined=False, oracle=False)
def test_CLU_29_nobody_waits_for_a_command_that_hangs(bed):
    channel = bed.channel("n1", confirm=True)
    channel.queue_declare("q", durable=True)
    channel.basic_publish("", "q", "m")
    def log():
        return "".join(path.read_text(errors="replace") for path in bed["n1"].log.glob("*.log"))
    until(lambda: "warren.on_leader_elected: was killed" in log(), "the command is killed", 15)
    until(lambda: not any("sleep" in words[0] for words in bed["n1"].processes().values() if words), "and what it started", 5)


# -- where queues go -------------------------------------------------------------------------------


def homes(bed, pattern):
    found = {}
    for row in bed.rows("n1", "list_queues", "name", "pid"):
        if row["name"].startswith(pattern):
            host = row["pid"].split("@")[1].split(".")[0]
            found[host] = found.get(host, 0) + 1
    return found


@case(oracle=False, table={"argument": "argument", "policy": "policy", "setting": "setting"})
def test_CLU_23_new_queues_are_spread_and_not_to_drained_nodes(bed, how):
    """min-masters of 3.10, also for queues declared in one burst; a node in maintenance gets none."""
    arguments = {"x-queue-master-locator": "min-masters"} if how == "argument" else None
    if how == "policy":
        bed.ctl("n1", "set_policy", "spread", "^min", '{"queue-master-locator":"min-masters"}')
    if how == "setting":
        for name in ALL:
            with open(bed[name].etc / "rabbitmq.conf", "a") as conf:
                conf.write("queue_master_locator = min-masters\n")
            bed.ctl(name, "stop")
            bed[name].wait_gone()
            bed.start(name)
        bed.until_running(ALL, set(ALL))
    channel = bed.channel("n2")
    for number in range(9):
        channel.queue_declare(f"min.{number}", durable=number % 2 == 0, arguments=arguments)
    eq(homes(bed, "min."), {name: 3 for name in ALL})
    channel.queue_declare("min.mine", exclusive=True, arguments=arguments)
    eq(homes(bed, "min.mine"), {"n2": 1}, "an exclusive queue lives with its client")
    bed.ctl("n3", "drain", tool="rabbitmq-upgrade")
    for number in range(6):
        channel.queue_declare(f"later.min.{number}" if how != "policy" else f"min.later.{number}", durable=True,
                              arguments=arguments)
    check("n3" not in homes(bed, "later." if how != "policy" else "min.later"), homes(bed, "min.later"), homes(bed, "later."))


@case(oracle=False)
def test_CLU_19_random_reaches_every_node(bed):
    channel = bed.channel("n1")
    for number in range(30):
        channel.queue_declare(f"r.{number}", durable=True, arguments={"x-queue-master-locator": "random"})
    eq(set(homes(bed, "r.")), set(ALL))


# -- users -----------------------------------------------------------------------------------------


@case(oracle=False)
def test_CLU_15_a_user_made_through_one_node_logs_in_through_another_at_once(bed):
    for number in range(12):
        here, there = ALL[number % 3], ALL[(number + 1) % 3]
        name = f"u{number}"
        bed.ctl(here, "add_user", name, "secret")
        bed.ctl(here, "set_permissions", name, "", ".*", ".*")
        link = bed.connect(there, credentials=pika.PlainCredentials(name, "secret"))
        channel = link.channel()
        channel.basic_publish("", "nowhere", b"")
        bed.ctl(here, "change_password", name, "other")
        try:
            bed.connect(there, credentials=pika.PlainCredentials(name, "secret"))
            check(False, "the old password still works")
        except pika.exceptions.AMQPConnectionError:
            pass
        bed.ctl(here, "delete_user", name)
        try:
            bed.connect(there, credentials=pika.PlainCredentials(name, "other"))
            check(False, "a deleted user logs in")
        except pika.exceptions.AMQPConnectionError:
            pass
        link.close() if link.is_open else None


@case(1, conf="cluster_formation.peer_discovery_backend = classic_config\n"
      "cluster_formation.classic_config.nodes.1 = rabbit@n1\n", joined=False, oracle=False)
def test_CLU_21_discover_peers(bed):
    text = bed.ctl("n1", "discover_peers", tool="rabbitmq-diagnostics").stdout
    check("rabbit@n1" in text, text)
