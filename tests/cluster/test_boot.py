"""Starting: any order, full power loss, discovery (CLU-14, CLU-21, CLU-22).

"""

import itertools
import shutil

from harness import case, check, eq, until
from traffic import PERSISTENT

ALL = ("n1", "n2", "n3")
DISCOVERY = "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(
    f"cluster_formation.classic_config.nodes.{number} = rabbit@n{number}\n" for number in (1, 2, 3))
DNS = """cluster_formation.peer_discovery_backend = dns
cluster_formation.dns.hostname = rabbits
cluster_formation.target_cluster_size_hint = 3
cluster_formation.discovery_retry_limit = 100
"""


def one_cluster(bed, timeout=30):
    bed.until_running(ALL, set(ALL), timeout)
    for name in ALL:
        eq(bed.members(name), set(ALL), f"members on {name}")


@case(weight=8, table={"".join(order): order for order in itertools.permutations(ALL)})
def test_CLU_14_any_boot_order(bed, order):
    """Stopped one after the other, started one after the other, in each of the six orders (pain 13)."""
    channel = bed.channel("n2", confirm=True)
    channel.queue_declare("kept", durable=True)
    channel.basic_publish("", "kept", "still here", PERSISTENT)
    for name in ALL:
        bed.ctl(name, "stop")
        bed[name].wait_gone(30)
    bed.start(order[0], wait=False)
    if not bed.oracle:  # the first is alive, though it may not serve before the second is there
        until(lambda: bed.ctl(order[0], "ping", tool="rabbitmq-diagnostics"), "ping", 10)
    bed.start(*order[1:], wait=False)
    for name in order:
        bed[name].wait_ready(60 * bed.slow)
    one_cluster(bed)
    until(lambda: bed.drain("n1", "kept") == ["still here"], "the message", 20)


@case(weight=6)
def test_CLU_14_power_loss_of_all(bed):
    """kill -9 of all at once, all start again: everything durable is there, without a manual step."""
    channel = bed.channel("n1", confirm=True)
    for number, name in enumerate(ALL):
        home = bed.channel(name, confirm=True)
        home.queue_declare(f"kept.{number}", durable=True)
        home.queue_bind(f"kept.{number}", "amq.fanout")
    for number in range(20):
        channel.basic_publish("amq.fanout", "", str(number), PERSISTENT)
    bed.power_off(*ALL)
    bed.start(*ALL)
    one_cluster(bed)
    for number in range(3):
        until(lambda n=number: bed.drain("n3", f"kept.{n}") == [str(i) for i in range(20)], "messages", 20)


@case(weight=6, oracle=False)
def test_CLU_14_majority_is_enough(bed):
    """Two of three start: they serve and change, and do not wait for the third."""
    bed.power_off(*ALL)
    bed.start("n2", "n3")
    until(lambda: bed.channel("n2").queue_declare("new", durable=True), "a declare without n1", 30)
    bed.start("n1")
    one_cluster(bed)
    eq([row["name"] for row in bed.rows("n1", "list_queues", "name")], ["new"])


@case(conf=DISCOVERY, joined=False, weight=6)
def test_CLU_21_discovery_makes_one_cluster(bed):
    """Three nodes with the same list, started at once: one cluster of three (pain 14)."""
    one_cluster(bed)
    bed.channel("n1").queue_declare("kept", durable=True)
    eq([row["name"] for row in bed.rows("n3", "list_queues", "name")], ["kept"])


@case(conf=DISCOVERY, joined=False, start=False, weight=15, oracle=False)
def test_CLU_22_four_first_boots_make_four_clusters(bed):
    first_boots(bed, 4)


@case(conf=DISCOVERY, joined=False, start=False, long=True, weight=120, oracle=False)
def test_CLU_22_twenty_first_boots_make_twenty_clusters(bed):
    first_boots(bed, 20)


def first_boots(bed, turns):
    """Pain 14: three empty nodes started at once are one cluster, however the starts fall."""
    for turn in range(turns):
        order = list(itertools.permutations(ALL))[turn % 6]
        for name in order:
            bed.start(name, wait=False)
        for name in order:
            bed[name].wait_ready(60)
        one_cluster(bed)
        for name in ALL:
            bed[name].kill()
            shutil.rmtree(bed[name].lib / "mnesia", ignore_errors=True)
        check(not any(bed[name].servers() for name in ALL), "nodes that outlive their kill")


@case(conf=DNS, joined=False, start=False, weight=10, oracle=False)
def test_CLU_21_dns(bed):
    """Peers are the names behind a seed name's addresses; records that come late are waited for."""
    bed.start(*ALL, wait=False)
    for name in ALL:
        until(lambda n=name: "rabbits" in bed[n].tail(4000), f"{name} says that it finds nobody", 20)
        check(not bed[name].answers(), f"{name} serves before it found its peers")
    for known in (ALL[:2], ALL[2:]):  # a zone that fills: two of three first
        for name in ALL:
            for peer in known:
                bed.shell(name, f"echo {bed[peer].address} rabbits >> /etc/hosts")
    for name in ALL:
        bed[name].wait_ready(60)
    one_cluster(bed)
    bed.channel("n1").queue_declare("kept", durable=True)
    eq([row["name"] for row in bed.rows("n3", "list_queues", "name")], ["kept"])


@case(conf=DISCOVERY, joined=False, start=False, weight=10)
def test_CLU_21_one_comes_later(bed):
    """The third starts when two are a cluster already: it joins them."""
    bed.start("n1", "n2")
    bed.until_running(("n1", "n2"), {"n1", "n2"}, 30)
    bed.start("n3")
    one_cluster(bed)


@case(conf=DISCOVERY, joined=False, weight=6)
def test_CLU_21_a_restart_does_not_discover_again(bed):
    one_cluster(bed)
    bed["n3"].kill()
    bed.start("n3")
    one_cluster(bed)
