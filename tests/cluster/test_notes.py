"""The page of notes, typed as it stands on two hosts (S17 to S20)."""

import re

from harness import case, check, eq, shows
from test_hosts import notes_up_to_the_join

HOSTS = ("centos7", "centos72")

ON_CENTOS72 = """Cluster status of node rabbit@centos72 ...
[{nodes,[{disc,[rabbit@centos7]},{ram,[rabbit@centos72]}]},
 {running_nodes,[rabbit@centos7,rabbit@centos72]},
 {cluster_name,<<"rabbit@centos7">>},
 {partitions,[]},
 {alarms,[{rabbit@centos7,[]},{rabbit@centos72,[]}]}"""
ON_CENTOS7 = """Cluster status of node rabbit@centos7 ...
[{nodes,[{disc,[rabbit@centos7]},{ram,[rabbit@centos72]}]},
 {running_nodes,[rabbit@centos72,rabbit@centos7]},
 {cluster_name,<<"rabbit@centos7">>},
 {partitions,[]},
 {alarms,[{rabbit@centos72,[]},{rabbit@centos7,[]}]}"""


def begins(text, wanted):
    check(text.startswith(wanted), "got:\n" + text[:900] + "\nwanted:\n" + wanted)


def steps_of_the_notes(bed):
    """From the third step to the last, in the notes' order and words."""
    a, b = HOSTS
    notes_up_to_the_join(bed, a, b)
    shows(bed.shell(b, "rabbitmqctl stop_app"), r"^Stopping rabbit application on node rabbit@centos72 \.\.\.$")
    shows(bed.shell(b, "rabbitmqctl join_cluster --ram rabbit@centos7"),
          "^Clustering node rabbit@centos72 with rabbit@centos7")
    shows(bed.shell(b, "rabbitmqctl start_app"), r"^Starting node rabbit@centos72 \.\.\.$")


@case(names=HOSTS, joined=False, weight=8)
def test_S19_the_notes_typed_on_two_hosts(bed):
    steps_of_the_notes(bed)
    for name in HOSTS:
        status = bed.status(name)
        eq((status["disk_nodes"], status["ram_nodes"]), (["rabbit@centos7"], ["rabbit@centos72"]))
        eq(bed.running(name), set(HOSTS))
        text = bed.shell(name, "rabbitmqctl cluster_status")
        shows(text, "^Disk Nodes\n\nrabbit@centos7\n\nRAM Nodes\n\nrabbit@centos72\n\nRunning Nodes\n\n"
                    "rabbit@centos7\nrabbit@centos72\n$")


@case(names=HOSTS, ram=("centos72",), oracle=False)
def test_S20_the_term_is_exactly_the_notes(bed):
    """Each host prints what the notes show on it: the asked node stands last among the running."""
    begins(bed.shell("centos72", "rabbitmqctl cluster_status --formatter erlang"), ON_CENTOS72)
    begins(bed.shell("centos7", "rabbitmqctl cluster_status --formatter erlang"), ON_CENTOS7)
    legacy = bed.shell("centos7", "rabbitmqctl --legacy-output cluster_status")
    begins(re.sub(r"\n...done\.\n", "\n", legacy), ON_CENTOS7)


@case(names=HOSTS, ram=("centos72",))
def test_S20_from_the_other_host_by_n(bed):
    """`-n` on one host shows what typing on the other does."""
    there = bed.shell("centos7", "rabbitmqctl -n rabbit@centos72 cluster_status --formatter erlang")
    eq(there, bed.shell("centos72", "rabbitmqctl cluster_status --formatter erlang"))


@case(names=HOSTS, ram=("centos72",))
def test_S14_lists_are_the_same_on_both(bed):
    """S14 and S16 across hosts: what one host declares, both list."""
    channel = bed.channel("centos72")
    channel.queue_declare("hello", durable=True)
    channel.exchange_declare("logs", "fanout")
    channel.queue_bind("hello", "logs")
    channel.basic_publish("", "hello", "1")
    channel.queue_declare("hello", durable=True, passive=True)
    bed.shell("centos7", "rabbitmqctl add_user kevin kevin")
    bed.shell("centos7", "rabbitmqctl set_user_tags kevin administrator")
    bed.shell("centos7", 'rabbitmqctl set_permissions -p / kevin ".*" ".*" ".*"')
    for name in HOSTS:
        shows(bed.shell(name, "rabbitmqctl list_queues name messages_ready messages_unacknowledged"),
              "^hello\t1\t0$")
        shows(bed.shell(name, "rabbitmqctl list_exchanges"), "^logs\tfanout$")
        shows(bed.shell(name, "rabbitmqctl list_bindings"), "^logs\texchange\thello\tqueue")
        shows(bed.shell(name, "rabbitmqctl list_users"), r"^kevin\t\[administrator\]$")
        shows(bed.shell(name, "rabbitmqctl list_permissions"), r"^kevin\t\.\*\t\.\*\t\.\*$")
