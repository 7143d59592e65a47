"""Faults under confirmed publishing: nothing confirmed is lost, nobody has to lend a hand (CLU-16, CLU-17).

Every node has a client that publishes to a durable queue on every node; while they do, nodes are
killed and stopped and the network is cut. Afterwards every node runs, all see the same cluster, and
every confirmed message is in its queue, once and in order.
"""

import random
import time

from harness import case, check, eq, until
from traffic import Consumer, Publisher, drained, missing, nothing_lost

ALL = ("n1", "n2", "n3")


class Load:
    """Nine publishers: from each node to the queue of each node."""

    def __init__(self, bed, pause=0.004):
        self.bed = bed
        for name in ALL:
            channel = bed.channel(name)
            channel.queue_declare(f"q.{name}", durable=True)
            channel.connection.close()  # idle, it would keep a node from stopping for 5 s
        self.publishers = [Publisher(bed, host, f"q.{home}", pause=pause) for host in ALL for home in ALL]
        self.all_get_on(5)

    def all_get_on(self, count=3, timeout=30):
        for publisher in self.publishers:
            publisher.wait_more(count, timeout)

    def of(self, hosts, homes):
        return [p for p in self.publishers if p.host in hosts and p.queue[2:] in homes]

    def check(self):
        """After healing: all go on, all see the same, nothing confirmed is lost."""
        self.bed.until_running(ALL, set(ALL), 30)
        self.all_get_on()
        for publisher in self.publishers:
            publisher.finish()
        nothing_lost(self.publishers, drained(self.bed, "n2"))
        for name in ALL:
            eq(self.bed.status(name)["partitions"], {}, f"partitions on {name}")
            queues = self.bed.rows(name, "list_queues", "name", "messages")
            eq(sorted((row["name"], row["messages"]) for row in queues), [(f"q.{n}", 0) for n in ALL], name)


# -- nodes -----------------------------------------------------------------------------------------


@case(weight=12, oracle=False, table={name: name for name in ALL})
def test_C3_kill_9_of_each_node(bed, victim):
    load = Load(bed)
    others = [name for name in ALL if name != victim]
    bed[victim].kill()
    for publisher in load.of(others, others):
        publisher.wait_more(20)
    bed.start(victim)
    load.check()


@case(weight=12, oracle=False, table={name: name for name in ALL})
def test_C3_sigstop_of_each_node(bed, victim):
    """Three seconds of silence: the others go on; the one that wakes finds its place by itself."""
    load = Load(bed)
    others = [name for name in ALL if name != victim]
    bed[victim].pause()
    for publisher in load.of(others, others):
        publisher.wait_more(20)
    time.sleep(3)  # time is the subject
    bed[victim].resume()
    load.check()


@case(weight=12, oracle=False)
def test_C3_kill_9_of_all_at_once(bed):
    load = Load(bed)
    bed.power_off(*ALL)
    bed.start(*ALL)
    load.check()


@case(ram=("n3",), weight=12, oracle=False)
def test_C3_kill_9_of_a_ram_node(bed):
    """Nothing durable was on it: its clients' messages to the disc nodes are there."""
    for name in ("n1", "n2"):
        bed.channel(name).queue_declare(f"q.{name}", durable=True)
    publishers = [Publisher(bed, "n3", f"q.{home}") for home in ("n1", "n2")]
    for publisher in publishers:
        publisher.wait_more(50)
    bed["n3"].kill()
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    bed.start("n3")
    bed.until_running(ALL, set(ALL))
    for publisher in publishers:
        publisher.wait_more(5)
        publisher.finish()
    nothing_lost(publishers, drained(bed, "n1"))


# -- the network -----------------------------------------------------------------------------------


@case(weight=15, oracle=False, table={name: name for name in ALL})
def test_CLU_16_two_and_one(bed, lonely):
    """The majority goes on within itself, the one alone confirms nothing for the others' queues."""
    load = Load(bed)
    others = [name for name in ALL if name != lonely]
    bed.split(others, [lonely])
    until(lambda: all(bed.running(name) == set(others) for name in others), "the majority sees it", 20)
    for publisher in load.of(others, others):
        publisher.wait_more(20)
    across = load.of([lonely], others) + load.of(others, [lonely])
    before = {publisher.name: len(publisher.confirmed) for publisher in across}
    bed.channel(others[0]).queue_declare("made.meanwhile", durable=True)
    time.sleep(2)  # time is the subject
    late = [p.name for p in across if len(p.confirmed) > before[p.name]]
    check(not late, "confirmed across the cut:", late)
    bed.heal()
    until(lambda: "made.meanwhile" in {row["name"] for row in bed.rows(lonely, "list_queues", "name")},
          "the one alone learns what was declared", 20)
    bed.channel(lonely).queue_delete("made.meanwhile")
    load.check()


@case(weight=12, oracle=False, table={"n1 to n3": ("n1", "n3"), "n3 to n1": ("n3", "n1"), "n2 to n3": ("n2", "n3")})
def test_CLU_16_one_way_cut(bed, pair):
    load = Load(bed)
    bed.cut(*pair, one_way=True)
    time.sleep(4)  # time is the subject
    bed.heal()
    load.check()


@case(weight=12, oracle=False, table={"n1-n3": ("n1", "n3"), "n1-n2": ("n1", "n2"), "n2-n3": ("n2", "n3")})
def test_CLU_16_partial_cut(bed, pair):
    """Two do not hear each other, the third hears both: the one reached by all decides; all heals."""
    load = Load(bed)
    bed.cut(*pair)
    third = next(name for name in ALL if name not in pair)
    time.sleep(3)  # time is the subject
    until(lambda: bed.channel(third).queue_declare("made.meanwhile", durable=True), "declare by the third", 20)
    bed.channel(third).queue_delete("made.meanwhile")
    bed.heal()
    load.check()


BLIPS = {"5 ms": 0.005, "50 ms": 0.05, "300 ms": 0.3, "1 s": 1.0, "5 s": 5.0}


@case(weight=15, oracle=False, table=BLIPS)
def test_CLU_16_blip(bed, seconds):
    """Pain 10: however short or long, afterwards there is one cluster and nothing is lost."""
    load = Load(bed)
    for lonely in ALL if seconds < 2 else ("n1",):
        bed.cut(lonely)
        time.sleep(seconds)  # time is the subject
        bed.heal()
    load.check()


@case(weight=120, oracle=False, long=True, table={"30 s": 30.0, "90 s": 90.0})
def test_CLU_16_long_cut(bed, seconds):
    test = Load(bed)
    bed.cut("n1")
    time.sleep(seconds)  # time is the subject
    bed.heal()
    test.check()


@case(weight=15, oracle=False)
def test_C3_loss_and_delay(bed):
    """5 % loss and 20 ms of delay on every cable: slower, and nothing else."""
    load = Load(bed)
    bed.lose(5)
    bed.delay(20)
    load.all_get_on(10, 60)
    for _ in range(4):
        for name in ALL:
            eq(bed.running(name), set(ALL), "running, seen from " + name)
    bed.lose(0)
    bed.delay(0)
    load.check()


# -- detection -------------------------------------------------------------------------------------


@case(alone=True, weight=8, oracle=False, table={"kill": 2.0, "cut": 5.0, "pause": 5.0})
def test_CLU_17_how_soon_a_dead_node_is_seen(bed, goal):
    """RabbitMQ needs 60 s for a silent node; the goals of reliability.md D with room for this machine."""
    how = {2.0: "kill"}.get(goal) or ("cut" if "[cut]" in bed.test.name else "pause")
    {"kill": bed["n3"].kill, "cut": lambda: bed.cut("n3"), "pause": bed["n3"].pause}[how]()
    until(lambda: bed.running("n1") == {"n1", "n2"}, f"n1 sees that n3 is gone ({how})", goal, pause=0.02)
    {"kill": lambda: bed.start("n3"), "cut": bed.heal, "pause": bed["n3"].resume}[how]()
    bed.until_running(ALL, set(ALL), 15)


@case(weight=15, oracle=False)
def test_CLU_17_busy_is_not_dead(bed):
    """Short pauses of 200 ms, again and again, make nobody leave (pain 7)."""
    for _ in range(15):
        bed["n2"].pause()
        time.sleep(0.2)  # time is the subject
        bed["n2"].resume()
        eq(bed.running("n1"), set(ALL), "running after a pause of 200 ms")


# -- everything at once ----------------------------------------------------------------------------


def one_fault(bed, dice, victim, other):
    kind = dice.choice(("kill", "pause", "all", "cut", "one way", "partial"))
    if kind == "kill":
        bed[victim].kill()
        time.sleep(dice.random() * 3)
        bed.start(victim, wait=False)
    elif kind == "pause":
        bed[victim].pause()
        time.sleep(dice.random() * 4)
        bed[victim].resume()
    elif kind == "all":
        bed.power_off(*ALL)
        bed.start(*ALL, wait=False)
    else:
        bed.cut(victim, *([] if kind == "cut" else [other]), one_way=kind == "one way")
        time.sleep(dice.random() * 5)
        bed.heal()


@case(weight=300, oracle=False, long=True)
def test_C3_soak(bed):
    """Five minutes of random faults under load; the seed is in the failure's text."""
    seed = random.randrange(1 << 30)
    dice, load = random.Random(seed), Load(bed)
    try:
        end = time.monotonic() + 300
        while time.monotonic() < end:
            victim, other = dice.sample(ALL, 2)
            one_fault(bed, dice, victim, other)
            time.sleep(dice.random() * 3)
        load.check()
    except AssertionError as why:
        raise AssertionError(f"seed {seed}: {why}") from None


@case(weight=10, oracle=False)
def test_C3_consumers_see_everything_once_more_or_once(bed):
    """Consumers on other nodes while the queue's node dies: all confirmed arrive, none out of thin air."""
    bed.channel("n3").queue_declare("work", durable=True)
    publisher = Publisher(bed, "n3", "work")
    consumers = [Consumer(bed, name, "work") for name in ("n1", "n2")]
    publisher.wait_more(100)
    bed["n3"].kill()
    bed.start("n3")
    publisher.wait_more(100)
    publisher.finish()
    until(lambda: not missing(publisher, [body for c in consumers for body in c.got]),
          "every confirmed message arrives", 30,
          last=lambda: missing(publisher, [body for c in consumers for body in c.got])[:5])
    for consumer in consumers:
        consumer.finish()
