"""The majority is gone for good: force_boot and forget_cluster_node --offline (CLU-10, CLU-14, C.3).

Never by itself and never twice: a node goes on alone only when it is told to, and those it left
behind are refused instead of making a second history.
"""

import shutil

from harness import case, check, eq, shows, until
from traffic import PERSISTENT

ALONE = "THIS NODE GOES ON ALONE"


def filled(bed, name="n1"):
    """A durable queue with a confirmed message on that node."""
    channel = bed.channel(name, confirm=True)
    channel.queue_declare(f"at.{name}", durable=True)
    channel.basic_publish("", f"at.{name}", "kept", PERSISTENT)


def refused(bed, name, by):
    """The member left behind starts, is told why and what to do, and does not serve."""
    bed.start(name, wait=False)
    until(lambda: "went on without this node" in bed[name].tail(8000), f"{name}'s log says why", 20)
    shows(bed[name].tail(8000), f"rabbitmqctl join_cluster rabbit@{by}")
    check(not bed[name].answers(), f"{name} serves clients")
    bed[name].kill()


def anew(bed, name, by):
    """What the refusal says: wiped, started, joined."""
    shutil.rmtree(bed[name].lib / "mnesia")
    bed.start(name)
    bed.join(name, by)


@case(3, weight=15, oracle=False)
def test_CLU_14_force_boot_of_a_stopped_node(bed):
    """Two of three are lost. The third serves its own copy, counts as the whole cluster, grows again."""
    for name in ("n1", "n2", "n3"):
        filled(bed, name)
    bed.ctl("n1", "add_user", "kevin", "kevin")
    bed.power_off("n1", "n2", "n3")
    bed.start("n1", wait=False)
    until(lambda: "force_boot" in bed["n1"].tail(8000), "the log of the waiting node names the way out", 30)
    check(not bed["n1"].answers(), "serves without a majority and without being told to")
    bed["n1"].kill()
    check(ALONE not in bed["n1"].tail(100000), "it went on alone unasked")
    eq(bed.ctl("n1", "force_boot").text.strip(), "")
    bed.start("n1")
    shows(bed["n1"].tail(20000), ALONE)
    eq(bed.members("n1"), {"n1"})
    eq(bed.drain("n1", "at.n1"), ["kept"])
    eq(sorted(row["user"] for row in bed.rows("n1", "list_users")), ["guest", "kevin"])
    eq([row["name"] for row in bed.rows("n1", "list_queues", "name")], ["at.n1"])
    bed.channel("n1").queue_declare("new", durable=True)
    for name in ("n2", "n3"):
        refused(bed, name, "n1")
    for name in ("n2", "n3"):
        anew(bed, name, "n1")
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})
    bed["n1"].kill()
    bed.start("n1")
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})
    eq(sorted(row["name"] for row in bed.rows("n3", "list_queues", "name")), ["at.n1", "new"])


@case(3, weight=10, oracle=False)
def test_CLU_14_force_boot_is_not_needed(bed):
    """A majority answers: the node starts as a member, as if nobody had typed it; running it is refused."""
    shows(bed.ctl("n1", "force_boot", code=64).stderr, "requires the 'rabbit' app to be stopped")
    bed.ctl("n1", "stop_app")
    bed.ctl("n1", "force_boot")
    bed.ctl("n1", "start_app")
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})
    check(ALONE not in bed["n1"].tail(100000), "it left the others behind")
    bed["n1"].kill()
    bed.start("n1")
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})


@case(2, weight=10, oracle=False)
def test_CLU_14_force_boot_of_a_waiting_node(bed):
    """Typed while the node waits for the other; it goes on alone after its next start."""
    filled(bed)
    bed.power_off("n1", "n2")
    bed.start("n1", wait=False)
    until(lambda: "waiting for the cluster's metadata" in bed["n1"].tail(8000), "n1 waits", 30)
    bed.ctl("n1", "force_boot")
    bed["n1"].kill()
    bed.start("n1")
    eq((bed.members("n1"), bed.drain("n1", "at.n1")), ({"n1"}, ["kept"]))


@case(2, weight=10, oracle=False)
def test_CLU_14_a_force_boot_that_was_not_needed_is_over(bed):
    """Typed while the node waits; the other comes back first. It must not come true at a later start, alone."""
    bed.power_off("n1", "n2")
    bed.start("n1", wait=False)
    until(lambda: "waiting for the cluster's metadata" in bed["n1"].tail(8000), "n1 waits", 30)
    bed.ctl("n1", "force_boot")
    bed.start("n2")
    bed.until_running(("n1", "n2"), {"n1", "n2"}, 30)
    for name in ("n1", "n2"):
        bed[name].kill()
    bed.start("n1", wait=False)
    until(lambda: bed["n1"].tail(20000).count("waiting for the cluster's metadata") >= 2, "n1 waits again", 30)
    check(ALONE not in bed["n1"].tail(100000), "it left the other behind")
    bed.start("n2")
    bed.until_running(("n1", "n2"), {"n1", "n2"}, 30)


@case(2, weight=12, oracle=False)
def test_CLU_10_forget_offline_the_other_of_two(bed):
    """Two disc nodes, one is gone for good: it cannot be forgotten online; told offline, the other goes on."""
    filled(bed)
    bed["n2"].kill()
    until(lambda: bed.running("n1") == {"n1"}, "n2 is seen as down", 20)
    shows(bed.ctl("n1", "forget_cluster_node", "rabbit@n2", code=69).stderr,
          "force_boot", "forget_cluster_node --offline")
    shows(bed.ctl("n1", "forget_cluster_node", "--offline", "rabbit@n2", code=64).stderr,
          "requires the target node to be stopped")
    bed["n1"].kill()
    shows(bed.ctl("n1", "forget_cluster_node", "--offline", "rabbit@n7", code=69).stderr, "not_a_cluster_node")
    shows(bed.ctl("n1", "forget_cluster_node", "--offline", "rabbit@n1", code=69).stderr, "failed_to_remove_node")
    shows(bed.ctl("n1", "forget_cluster_node", "--offline", "rabbit@n2").stdout,
          r"^Removing node rabbit@n2 from the cluster\. Warning: ")
    bed.start("n1")
    eq((bed.members("n1"), bed.drain("n1", "at.n1")), ({"n1"}, ["kept"]))
    refused(bed, "n2", "n1")
    anew(bed, "n2", "n1")
    bed.until_running(("n1", "n2"), {"n1", "n2"})


@case(3, weight=10, oracle=False)
def test_CLU_10_forget_offline_where_two_stay(bed):
    """Told to a stopped node of three: it is done when the two that stay have their majority."""
    for name in ("n1", "n2", "n3"):
        bed[name].kill()
    bed.ctl("n1", "forget_cluster_node", "--offline", "rabbit@n3")
    bed.start("n2", "n1", wait=False)
    for name in ("n1", "n2"):
        bed[name].wait_ready(60)
    for name in ("n1", "n2"):
        until(lambda n=name: bed.members(n) == {"n1", "n2"}, "n3 is forgotten", 20, last=lambda n=name: bed.members(n))
    check(ALONE not in bed["n1"].tail(100000), "it left n2 behind")
