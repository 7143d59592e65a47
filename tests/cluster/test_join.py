"""Who is in the cluster: join, leave, forget, node types (CLU-05 to CLU-11) and what is refused (2.8).

Exit codes and words are what RabbitMQ 3.10.8 answered to the same lines.
"""

import shutil

from harness import case, check, eq, shows, until

APART = {"joined": False}
STOPPED_FIRST = r"requires the 'rabbit' app to be stopped on the target node"
ONLY_DISC = "(?i)only disc node"


def stopped(bed, *names):
    for name in names:
        bed.ctl(name, "stop_app")


# -- joining ---------------------------------------------------------------------------------------


@case(2, **APART)
def test_CLU_05_join(bed):
    """Both know each other afterwards; the joiner's own data is gone, the target's stays."""
    bed.ctl("n1", "add_user", "kevin", "kevin")
    bed.ctl("n2", "add_user", "lost", "lost")
    bed.channel("n2").queue_declare("lost", durable=True)
    bed.channel("n1").queue_declare("kept", durable=True)
    stopped(bed, "n2")
    shows(bed.ctl("n2", "join_cluster", "rabbit@n1").stdout, "^Clustering node rabbit@n2 with rabbit@n1$")
    bed.ctl("n2", "start_app")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    for name in ("n1", "n2"):
        eq(sorted(bed.status(name)["disk_nodes"]), ["rabbit@n1", "rabbit@n2"], f"disc nodes on {name}")
        eq(sorted(row["user"] for row in bed.rows(name, "list_users")), ["guest", "kevin"])
        eq([row["name"] for row in bed.rows(name, "list_queues", "name")], ["kept"])


@case(2, **APART)
def test_CLU_05_join_again_and_itself(bed):
    stopped(bed, "n2")
    shows(bed.ctl("n2", "join_cluster", "rabbit@n2", code=70).stderr, "cannot cluster node with itself: rabbit@n2")
    bed.ctl("n2", "join_cluster", "rabbit@n1")
    shows(bed.ctl("n2", "join_cluster", "rabbit@n1").stdout, "^The node is already a member of this cluster$")
    bed.ctl("n2", "start_app")
    bed.until_running(("n1", "n2"), {"n1", "n2"})


@case(3, **APART)
def test_CLU_05_refusals(bed):
    """What cannot be joined, and how the tool says so; the joiner is as it was."""
    shows(bed.ctl("n2", "join_cluster", "rabbit@n1", code=64).stderr, STOPPED_FIRST)
    stopped(bed, "n2", "n3")
    shows(bed.ctl("n2", "join_cluster", "rabbit@nosuch", code=69).stderr, "nosuch", "DIAGNOSTICS")
    shows(bed.ctl("n2", "join_cluster", "rabbit@n3", code=69).stderr,
          "mnesia_not_running" if bed.oracle else "rabbit@n3")
    bed["n3"].kill()
    shows(bed.ctl("n2", "join_cluster", "rabbit@n3", code=69).stderr, "rabbit@n3", "DIAGNOSTICS")
    shows(bed.ctl("n2", "join_cluster", code=64).stderr, "not enough arguments")
    shows(bed.ctl("n2", "join_cluster", "rabbit@n1", "rabbit@n3", code=64).stderr, "too many arguments")
    shows(bed.ctl("n2", "join_cluster", "--ram", "--disc", "rabbit@n1", code=65).stderr, "either disc or ram")
    bed.ctl("n2", "start_app")
    eq(bed.running("n2"), {"n2"})


@case(2, oracle=False, **APART)
def test_CLU_05_other_cookie(bed):
    """A joiner with another secret is refused; both sides name the cookie, none shows it."""
    secret = bed["n1"].cookie.read_text()
    bed["n2"].stop()
    bed["n2"].cookie.chmod(0o600)
    bed["n2"].cookie.write_text("ANOTHERSECRET000000000")
    bed["n2"].cookie.chmod(0o400)
    bed.start("n2")
    stopped(bed, "n2")
    done = bed.ctl("n2", "join_cluster", "rabbit@n1", code=69)
    shows(done.stderr, "(?i)cookie")
    check(secret not in done.text and "ANOTHERSECRET" not in done.text, "a secret is printed")
    bed.ctl("n2", "start_app")
    eq(bed.running("n1"), {"n1"})


@case(3)
def test_CLU_05_three_join_through_any_member(bed):
    """n3 leaves and comes back through n2: one cluster, seen alike from everywhere."""
    stopped(bed, "n3")
    bed.ctl("n3", "reset")
    eq(bed.members("n1"), {"n1", "n2"})
    bed.ctl("n3", "join_cluster", "rabbit@n2")
    bed.ctl("n3", "start_app")
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})


@case(2, oracle=False)
def test_CLU_05_how_many_losses_are_survived_is_shown(bed):
    """Two disc nodes survive none, and the status says so (architecture, section 5)."""
    shows(bed.ctl("n1", "cluster_status").stdout, r"(?i)Fault tolerance.*")


# -- node types ------------------------------------------------------------------------------------


@case(2, ram=("n2",))
def test_CLU_06_ram_node(bed):
    """Listed as RAM on every node, also after its restart; it finds the cluster's objects again."""
    bed.channel("n1").queue_declare("kept", durable=True)
    for name in ("n1", "n2"):
        status = bed.status(name)
        eq((status["disk_nodes"], status["ram_nodes"]), (["rabbit@n1"], ["rabbit@n2"]))
    bed["n2"].kill()
    bed.start("n2")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    eq([row["name"] for row in bed.rows("n2", "list_queues", "name")], ["kept"])
    eq(bed.status("n2")["ram_nodes"], ["rabbit@n2"])


@case(2, ram=("n2",), oracle=False, weight=5)
def test_CLU_06_ram_node_keeps_no_data_on_disc(bed):
    channel = bed.channel("n2", confirm=True)
    channel.queue_declare("secret-name", durable=True)
    channel.basic_publish("", "secret-name", "SECRETBODYSECRETBODY")
    found = bed.shell("n2", "grep -rlE 'secret-name|SECRETBODY' /var/lib/rabbitmq || true")
    eq(found, "", "files with data on the RAM node")


@case(2)
def test_CLU_07_change_type(bed):
    """disc to ram and back, seen by both; a word that is no type, and a type it has already."""
    shows(bed.ctl("n2", "change_cluster_node_type", "ram", code=64).stderr, STOPPED_FIRST)
    stopped(bed, "n2")
    shows(bed.ctl("n2", "change_cluster_node_type", "disc").stdout, "^Node type is already disc$")
    shows(bed.ctl("n2", "change_cluster_node_type", "ram").stdout, "^Turning rabbit@n2 into a ram node$")
    shows(bed.ctl("n2", "change_cluster_node_type", "foo", code=65).stderr, "either disc or ram")
    bed.ctl("n2", "start_app")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    eq(bed.status("n1")["ram_nodes"], ["rabbit@n2"])
    stopped(bed, "n2")
    bed.ctl("n2", "change_cluster_node_type", "disc")
    bed.ctl("n2", "start_app")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    eq(sorted(bed.status("n1")["disk_nodes"]), ["rabbit@n1", "rabbit@n2"])


@case(1, **APART)
def test_CLU_07_alone_it_is_disc(bed):
    stopped(bed, "n1")
    shows(bed.ctl("n1", "change_cluster_node_type", "ram", code=69).stderr, "not_clustered")


@case(2, ram=("n2",))
def test_CLU_07_the_only_disc_node_stays(bed):
    """It can neither turn into RAM, nor reset, nor join another: the RAM nodes would have nothing."""
    stopped(bed, "n1")
    shows(bed.ctl("n1", "change_cluster_node_type", "ram", code=69).stderr, "resetting_only_disc_node", ONLY_DISC)
    shows(bed.ctl("n1", "reset", code=69).stderr, "resetting_only_disc_node", ONLY_DISC)
    shows(bed.ctl("n1", "join_cluster", "rabbit@n2", code=69).stderr, "clustering_only_disc_node", ONLY_DISC)
    bed.ctl("n1", "start_app")
    bed.until_running(("n1", "n2"), {"n1", "n2"})


# -- leaving ---------------------------------------------------------------------------------------


@case(3)
def test_CLU_08_reset(bed):
    """The one who resets is alone and empty, the others no longer list it."""
    bed.channel("n1").queue_declare("kept", durable=True)
    shows(bed.ctl("n3", "reset", code=64).stderr, STOPPED_FIRST)
    stopped(bed, "n3")
    shows(bed.ctl("n3", "reset").stdout, r"^Resetting node rabbit@n3 \.\.\.$")
    bed.ctl("n3", "start_app")
    eq((bed.members("n3"), bed.rows("n3", "list_queues", "name")), ({"n3"}, []))
    for name in ("n1", "n2"):
        eq(bed.members(name), {"n1", "n2"})
        eq([row["name"] for row in bed.rows(name, "list_queues", "name")], ["kept"])


@case(2, weight=5)
def test_CLU_08_reset_of_a_node_alone(bed):
    """After the other has left, reset is about the own data only."""
    stopped(bed, "n2")
    bed.ctl("n2", "reset")
    bed.channel("n1").queue_declare("gone", durable=True)
    stopped(bed, "n1")
    bed.ctl("n1", "reset")
    bed.ctl("n1", "start_app")
    eq(bed.rows("n1", "list_queues", "name"), [])


@case(3)
def test_CLU_09_force_reset(bed):
    """The others are not told: they list it until it is forgotten, and it is alone."""
    stopped(bed, "n3")
    shows(bed.ctl("n3", "force_reset").stdout, "rabbit@n3")
    bed.ctl("n3", "start_app")
    eq(bed.members("n3"), {"n3"})
    eq(bed.members("n1"), {"n1", "n2", "n3"})


@case(3)
def test_CLU_10_forget(bed):
    """A running node is not forgotten, a stopped one is; a second time it is not a member."""
    shows(bed.ctl("n1", "forget_cluster_node", "rabbit@n3", code=69).stderr,
          r"must be stopped with 'rabbitmqctl -n rabbit@n3 stop_app'")
    bed["n3"].kill()
    until(lambda: bed.running("n1") == {"n1", "n2"}, "n3 is seen as down", 20)
    shows(bed.ctl("n1", "forget_cluster_node", "rabbit@n3").stdout, "^Removing node rabbit@n3 from the cluster$")
    for name in ("n1", "n2"):
        eq(bed.members(name), {"n1", "n2"})
    for gone in ("rabbit@n3", "rabbit@nosuch"):
        shows(bed.ctl("n1", "forget_cluster_node", gone, code=69).stderr, "not_a_cluster_node")
    shows(bed.ctl("n1", "forget_cluster_node", "--offline", "rabbit@n2", code=64).stderr,
          "requires the target node to be stopped")


@case(3)
def test_CLU_10_forget_itself(bed):
    bed.ctl("n1", "forget_cluster_node", "rabbit@n1", code=69)
    eq(bed.members("n2"), {"n1", "n2", "n3"})


@case(3, weight=8)
def test_CLU_11_the_forgotten_one_starts(bed):
    """It is told that it is not a member and does not serve; after a wipe it may join anew."""
    bed["n3"].kill()
    until(lambda: bed.running("n1") == {"n1", "n2"}, "n3 is seen as down", 20)
    bed.ctl("n1", "forget_cluster_node", "rabbit@n3")
    bed.start("n3", wait=False)
    said = "thinks it's clustered|inconsistent_cluster|not a member|no longer a member|was removed|forgotten"
    until(lambda: any(word in bed["n3"].tail(6000) for word in said.split("|")), "n3's log says why",
          20 * bed.slow)
    check(not bed["n3"].answers(), "the forgotten node serves clients")
    eq(bed.members("n1"), {"n1", "n2"})
    bed["n3"].kill()
    shutil.rmtree(bed["n3"].lib / "mnesia")
    bed.start("n3")
    bed.join("n3", "n1")
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})


@case(3, oracle=False, weight=5)
def test_CLU_11_a_wiped_member_is_not_taken_for_the_old_one(bed):
    """Disc lost, same name: it starts alone and empty; the others do not count it as up with old votes."""
    bed["n3"].kill()
    shutil.rmtree(bed["n3"].lib / "mnesia")
    bed.start("n3")
    until(lambda: bed.running("n1") == {"n1", "n2"}, "n1 does not count the wiped node", 15,
          last=lambda: bed.running("n1"))
    bed.channel("n1").queue_declare("kept", durable=True)
    eq(bed.rows("n3", "list_queues", "name"), [])


@case(3)
def test_CLU_18_cluster_name(bed):
    """Set on one node, read on all, also in what clients see; kept over a restart."""
    shows(bed.ctl("n2", "set_cluster_name", "spring").stdout, r"^Setting cluster name to spring \.\.\.$")
    for name in ("n1", "n2", "n3"):
        until(lambda n=name: bed.status(n)["cluster_name"] == "spring", f"{name} knows the name")
        properties = bed.connect(name)._impl.server_properties
        eq(properties["cluster_name"].decode() if isinstance(properties["cluster_name"], bytes)
           else properties["cluster_name"], "spring")
    bed["n1"].kill()
    bed.start("n1")
    eq(bed.status("n1")["cluster_name"], "spring")
