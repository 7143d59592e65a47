"""What stays when names and secrets change, and what waits for nobody: D3, D9, D12."""

import json
import shutil

from harness import case, check, eq, until, within
from test_faults import ALL, Load
from traffic import PERSISTENT, Publisher, drained, nothing_lost


@case(2, weight=8, oracle=False)
def test_D12_a_node_is_renamed(bed):
    """It starts under another name with the same data: the same member, with its queues; nobody types anything."""
    sender = bed.channel("n2", confirm=True)
    sender.queue_declare("kept", durable=True)
    sender.basic_publish("", "kept", "m", PERSISTENT)
    sender.connection.close()
    data = bed.shell("n2", "ls -d /var/lib/rabbitmq/mnesia/rabbit@n2").strip()
    bed.ctl("n2", "stop")
    bed["n2"].wait_gone()
    bed["n2"].start(env={"RABBITMQ_NODENAME": "bunny@n2", "RABBITMQ_MNESIA_DIR": data})
    for host, options in (("n1", ()), ("n2", ("-n", "bunny@n2"))):
        def shown(host=host, options=options):
            out = bed.ctl(host, *options, "cluster_status", "--formatter", "json").stdout
            status = json.loads(out[out.index("{"):])
            return sorted(status["disk_nodes"]), sorted(status["running_nodes"])
        until(lambda s=shown: s() == (["bunny@n2", "rabbit@n1"],) * 2, f"{host} sees the new name", 20, last=shown)
    bed.channel("n1").queue_declare("made", durable=True)
    eq(bed.drain("n1", "kept"), ["m"])
    eq({row["name"] for row in bed.rows("n1", "list_queues", "name")}, {"kept", "made"})


@case(4, names=("n1", "n2", "n3", "n4"), joined=False, start=False, weight=10, oracle=False)
def test_D12_a_data_directory_is_moved_to_another_host(bed):
    bed.start("n1", "n2", "n3")
    bed.join("n2", "n1")
    bed.join("n3", "n1")
    bed.channel("n3").queue_declare("kept", durable=True)
    publisher = Publisher(bed, "n3", "kept")
    publisher.wait_more(50)
    publisher.finish()
    bed["n3"].kill()
    target = bed["n4"].lib / "mnesia" / "rabbit@n4"
    shutil.copytree(bed["n3"].lib / "mnesia" / "rabbit@n3", target)
    bed.start("n4")
    for name in ("n1", "n2", "n4"):
        until(lambda n=name: bed.members(n) == {"n1", "n2", "n4"} and bed.running(n) == {"n1", "n2", "n4"},
              f"{name} sees the move", 20, last=lambda n=name: bed.status(n)["running_nodes"])
    nothing_lost([publisher], drained(bed, "n1"))


@case(weight=15, oracle=False)
def test_D12_the_cookie_is_changed_under_load(bed):
    load = Load(bed)
    old = bed["n1"].cookie.read_text()
    for name in ALL:
        fresh = bed[name].lib / ".erlang.cookie.next"
        fresh.touch(mode=0o600)
        fresh.write_text("A" * 10 + "NEWSECRET" + "Z" * 10)
        bed.ctl(name, "rotate_cookie", "--stage")
    for step in ("--commit", "--retire"):
        for name in ALL:
            bed.ctl(name, "rotate_cookie", step)
            load.all_get_on()
        bed.until_running(ALL, set(ALL))
    eq(len({bed[name].cookie.read_text() for name in ALL}), 1)
    check(bed["n1"].cookie.read_text() != old, "the cookie is the old one")
    bed["n2"].kill()  # what it proves anew, it proves with the new one
    bed.start("n2")
    load.check()


@case(ram=("n3",), weight=12, oracle=False)
def test_D3_a_ram_node_dies_and_then_all(bed):
    """Two discs and a RAM node: what was confirmed through the RAM node is there after a power cut."""
    for home in ("n1", "n2"):
        bed.channel(home).queue_declare(f"q.{home}", durable=True)
    publishers = [Publisher(bed, "n3", f"q.{home}") for home in ("n1", "n2")]
    for publisher in publishers:
        publisher.wait_more(100)
    bed["n3"].kill()
    bed.power_off("n1", "n2")
    bed.start(*ALL)
    bed.until_running(ALL, set(ALL))
    eq(bed.status("n1")["ram_nodes"], ["rabbit@n3"])
    for publisher in publishers:
        publisher.wait_more(5)
        publisher.finish()
    nothing_lost(publishers, drained(bed, "n3"))


COMMANDS = ("cluster_status", "list_queues", "list_connections", "list_users", "list_feature_flags", "status")
MORE = ("list_channels", "list_consumers", "list_exchanges", "list_bindings", "list_vhosts", "list_policies")


def commands_do_not_wait(bed, begin, end, commands):
    """A second each, and what a tool needs to start on this machine; from both nodes that are left."""
    for name in ALL:
        bed.channel(name).queue_declare(f"q.{name}", durable=True)
    begin()
    for _ in range(2):  # before the others have noticed, and after
        for name in ("n1", "n2"):
            for command in commands:
                with within(1.6, f"{command} on {name}"):
                    bed.ctl(name, command)
        until(lambda: bed.running("n1") == {"n1", "n2"}, "it is seen", 10)
    with within(1.6, "declare"):
        bed.channel("n2").queue_declare("made", durable=True)
    end()
    bed.until_running(ALL, set(ALL))


@case(alone=True, weight=12, oracle=False)
def test_D9_commands_with_a_hung_node(bed):
    commands_do_not_wait(bed, bed["n3"].pause, bed["n3"].resume, COMMANDS)


@case(alone=True, weight=25, long=True, oracle=False, table={"hung": "pause", "cut off": "cut", "dead": "kill"})
def test_D9_all_commands(bed, how):
    begin, end = {"pause": (bed["n3"].pause, bed["n3"].resume), "cut": (lambda: bed.cut("n3"), bed.heal),
                  "kill": (bed["n3"].kill, lambda: bed.start("n3"))}[how]
    commands_do_not_wait(bed, begin, end, COMMANDS + MORE)
