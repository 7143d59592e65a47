"""Hosts and single nodes on them: names, cookie, ports, start and stop (S17 to S19 up to the join)."""

import os
import re
import socket
import threading

import pika
from harness import case, check, closes, eq, shows, until

ALONE = {"joined": False}


@case(2, names=("centos7", "centos72"), start=False, **ALONE)
def test_S17_hosts_know_each_other_by_name(bed):
    """The set-up of the notes' first two steps is what deploy/cluster makes."""
    for mine, other in (("centos7", "centos72"), ("centos72", "centos7")):
        eq(bed.shell(mine, "hostname").strip(), mine)
        eq(bed.shell(mine, "cat /etc/hostname").strip(), mine)
        shows(bed.shell(mine, f"getent hosts {other}"), rf"^{bed[other].address}\s+{other}$")
        shows(bed.shell(mine, "stat -c '%a %n' /var/lib/rabbitmq/.erlang.cookie"), "^400 ")
    eq(bed["centos7"].cookie.read_text(), bed["centos72"].cookie.read_text(), "cookies")


@case(2, start=False, oracle=False, **ALONE)
def test_S17_own_files(bed):
    """A host's files are its own, and nothing of them reaches this machine."""
    bed.shell("n1", "echo one > /etc/rabbitmq/mark; echo changed > /etc/motd.mark; touch /var/lib/mark")
    bed.shell("n2", "! test -e /etc/rabbitmq/mark && ! test -e /etc/motd.mark && ! test -e /var/lib/mark")
    bed.shell("n1", "touch mark.here && test -e /var/lib/rabbitmq/mark.here")  # commands begin there
    for path in ("/etc/motd.mark", "/var/lib/mark", "/var/lib/rabbitmq/mark.here"):
        check(not os.path.exists(path), path, "reached the machine")


FROM_N1 = """
import pika, sys
link = pika.BlockingConnection(pika.ConnectionParameters(sys.argv[1], 5672,
    credentials=pika.PlainCredentials(sys.argv[2], sys.argv[2])))
channel = link.channel()
channel.queue_declare("letters")
channel.basic_publish("", "letters", "over the cable")
print(channel.basic_get("letters")[2].decode())
"""


@case(2, **ALONE)
def test_CLU_01_each_host_has_a_node_of_its_own(bed):
    """The default names, one broker each, reachable from the other host by name."""
    for name in ("n1", "n2"):
        shows(bed.ctl(name, "status").stdout, rf"^Status of node rabbit@{name} \.\.\.$")
        eq(bed.running(name), {name}, "running nodes")
    bed.ctl("n2", "add_user", "kevin", "kevin")
    bed.ctl("n2", "set_permissions", "-p", "/", "kevin", ".*", ".*", ".*")
    done = bed["n1"].run("/usr/bin/python3", "-c", FROM_N1, "n2", "kevin")
    eq(done.stdout.strip(), "over the cable", done.stderr)
    eq([row["name"] for row in bed.rows("n2", "list_queues", "name")], ["letters"])
    eq(bed.rows("n1", "list_queues", "name"), [], "queues of n1")


@case(2, **ALONE)
def test_ACC_guest_is_for_the_same_host(bed):
    done = bed["n1"].run("/usr/bin/python3", "-c", FROM_N1, "n2", "guest")
    check(done.returncode != 0, "guest got in from another host")
    shows(done.stderr, "ACCESS_REFUSED|ProbableAuthentication")


@case(2, **ALONE)
def test_CLU_01_another_hosts_node_by_n(bed):
    """`-n` reaches the other host, in either place of the line; what is asked there is answered there."""
    for words in (("-n", "rabbit@n2", "status"), ("status", "--node", "rabbit@n2")):
        shows(bed.ctl("n1", *words).stdout, r"^Status of node rabbit@n2 \.\.\.$")
    bed.ctl("n1", "-n", "rabbit@n2", "add_vhost", "over-there")
    eq(sorted(row["name"] for row in bed.rows("n2", "list_vhosts", "name")), ["/", "over-there"])
    eq([row["name"] for row in bed.rows("n1", "list_vhosts", "name")], ["/"])


@case(2, start=False, oracle=False, **ALONE)
def test_CLU_01_two_nodes_on_one_host(bed):
    """S3: by name and port, each with its own data; ctl finds each, also from the other host."""
    bed.start("n1", "n2")
    second = {"RABBITMQ_NODENAME": "hare@n1", "RABBITMQ_NODE_PORT": "5673"}
    bed["n1"].spawn("rabbitmq-server", env=second)
    until(lambda: bed["n1"].answers(5673), "hare@n1 answers", 30)
    bed.ctl("n1", "-n", "hare@n1", "add_vhost", "burrow")
    eq([row["name"] for row in bed.rows("n1", "list_vhosts", "name")], ["/"], "vhosts of rabbit@n1")
    shows(bed.ctl("n1", "-n", "hare@n1", "list_vhosts").stdout, "^burrow$")
    shows(bed.ctl("n2", "-n", "hare@n1", "list_vhosts").stdout, "^burrow$")
    bed.ctl("n1", "-n", "hare@n1", "stop")
    shows(bed.ctl("n1", "status").stdout, "rabbit@n1")


@case(2, names=("a.example", "b.example"), env={"RABBITMQ_USE_LONGNAME": "true"}, oracle=False, **ALONE)
def test_CLU_01_long_names(bed):
    env = {"RABBITMQ_USE_LONGNAME": "true"}
    shows(bed.ctl("a.example", "status", env=env).stdout, r"^Status of node rabbit@a\.example")
    shows(bed.ctl("b.example", "--longnames", "-n", "rabbit@a.example", "status").stdout,
          r"^Status of node rabbit@a\.example")


# -- the cookie ------------------------------------------------------------------------------------


@case(2, start=False, cookie="", oracle=False, **ALONE)
def test_CLU_02_cookie_is_made_at_the_first_start(bed):
    bed.start("n1", "n2")
    made = {name: bed[name].cookie.read_text() for name in ("n1", "n2")}
    check(len(made["n1"]) >= 16 and made["n1"] != made["n2"], "cookies at random:", made)
    shows(bed.shell("n1", "stat -c %a /var/lib/rabbitmq/.erlang.cookie"), "^[46]00$")
    bed.ctl("n1", "status")
    bed.ctl("n1", "-n", "rabbit@n2", "status", code=69)


def change_cookie(host, text, mode=0o400):
    """As the notes do it: widen the mode, change the file, narrow it again."""
    host.cookie.chmod(0o600)
    host.cookie.write_text(text)
    host.cookie.chmod(mode)


@case(2, **ALONE)
def test_CLU_02_copying_the_cookie(bed):
    """S18: different secrets part two hosts, copying the file over joins them; both sides say why."""
    change_cookie(bed["n1"], "QUITEANOTHERSECRET0000")
    refused = bed.ctl("n1", "-n", "rabbit@n2", "status", code=69)
    shows(refused.stderr, "rabbit@n2", "(?i)cookie")
    if not bed.oracle:
        shows(refused.stderr, "cookies of rabbit@n2 and this side differ", "fingerprint")
        until(lambda: re.search("(?i)cookie", log_of(bed["n2"])), "n2's log tells of the attempt")
    secret = bed["n2"].cookie.read_text()
    check(secret not in refused.text and "QUITEANOTHER" not in refused.text, "a secret is printed")
    change_cookie(bed["n1"], secret)
    bed.ctl("n1", "-n", "rabbit@n2", "status")


def log_of(host):
    return "".join(path.read_text(errors="replace") for path in host.log.glob("*") if path.is_file())


@case(1, start=False, oracle=False, **ALONE)
def test_CLU_02_cookie_open_to_others_is_refused(bed):
    """Mode 644: neither node nor tool takes it, and both say the file, its mode and what to do."""
    bed["n1"].cookie.chmod(0o644)
    done = bed["n1"].run("rabbitmq-server", timeout=30)
    check(done.returncode not in (0, None), "the node started")
    shows(done.stdout + done.stderr, r"/var/lib/rabbitmq/\.erlang\.cookie", "644|owner", "(?i)chmod")
    check(not bed["n1"].servers(), "something still runs")
    shows(bed.ctl("n1", "status", code=78).stderr, r"\.erlang\.cookie")
    bed["n1"].cookie.chmod(0o400)
    bed.start("n1")


class Wiretap:
    """Every byte that reaches or leaves a host's cable."""

    def __init__(self, host):
        with host.network():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.settimeout(0.2)
        self.heard, self.over = bytearray(), threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.over.is_set():
            try:
                self.heard += self.socket.recv(65536)
            except TimeoutError:
                pass

    def end(self):
        self.over.set()
        self.thread.join()
        self.socket.close()
        return bytes(self.heard)


@case(2, **ALONE)
def test_CLU_03_the_cookie_is_never_sent(bed):
    tap = Wiretap(bed["n2"])
    bed.ctl("n1", "-n", "rabbit@n2", "status")
    heard = tap.end()
    check(len(heard) > 500, "the tap heard only", len(heard), "bytes")
    check(bed["n1"].cookie.read_bytes() not in heard, "the cookie went over the cable")


# -- ports, start, stop ----------------------------------------------------------------------------


@case(1, **ALONE)
def test_CLU_04_ports(bed):
    listening = bed.shell("n1", "ss -Hltn | awk '{print $4}' | sed 's/.*://' | sort -n | uniq")
    shows(listening, "^5672$", "^25672$")
    shows(bed.ctl("n1", "status").stdout, "port: 25672, protocol: clustering", "port: 5672, protocol: amqp")


@case(1, weight=6, **ALONE)
def test_CLU_12_stop_app_and_start_app(bed):
    """The broker stops, the runtime stays; clients are told 320; what is durable comes back."""
    channel = bed.channel("n1", confirm=True)
    channel.queue_declare("kept", durable=True)
    channel.basic_publish("", "kept", "still here", pika.BasicProperties(delivery_mode=2))
    shows(bed.ctl("n1", "stop_app").stdout, r"^Stopping rabbit application on node rabbit@n1 \.\.\.$")
    with closes(320, "CONNECTION_FORCED"):
        for _ in range(100):
            channel.connection.process_data_events(0.1)
    check(not bed["n1"].answers(), "5672 still answers")
    check(bed["n1"].servers(), "the process is gone")
    shows(bed.ctl("n1", "list_queues", code=64).stderr, "start_app")
    bed.ctl("n1", "ping", tool="rabbitmq-diagnostics")
    bed.ctl("n1", "stop_app")
    shows(bed.ctl("n1", "start_app").stdout, r"^Starting node rabbit@n1 \.\.\.$")
    bed.ctl("n1", "start_app")
    eq(bed.drain("n1", "kept"), ["still here"])


@case(1, **ALONE)
def test_CLU_12_stop_app_from_another_host_is_the_same(bed):
    bed.ctl("n1", "-n", "rabbit@n1", "stop_app")
    bed.ctl("n1", "-n", "rabbit@n1", "start_app")
    bed["n1"].wait_ready(30 * bed.slow)


@case(1, table={"stop": ("stop",), "shutdown": ("shutdown",), "no-wait": ("shutdown", "--no-wait")}, **ALONE)
def test_CLU_13_stop(bed, words):
    """`stop` and `shutdown` end the process; afterwards every command says that the node is down."""
    shows(bed.ctl("n1", *words).stdout, "rabbit@n1" if words[0] == "stop" else "")
    if words == ("shutdown",):
        check(not bed["n1"].servers(), "shutdown returned before the process was gone")
    bed["n1"].wait_gone(30)
    shows(bed.ctl("n1", "status", code=69).stderr, "rabbit@n1")
    bed.start("n1")


@case(1, start=False, **ALONE)
def test_S19_detached(bed):
    """The shell is free at once, the node outlives it, and its files are the usual ones."""
    bed.shell("n1", "rabbitmq-server -detached", timeout=20)
    bed["n1"].wait_ready(30 * bed.slow)
    shows(bed.ctl("n1", "status").stdout, "rabbit@n1")
    shows(bed.shell("n1", "ls /var/log/rabbitmq"), r"^rabbit@n1\.log$")
    shows(bed.shell("n1", "ls /var/lib/rabbitmq/mnesia"), "^rabbit@n1$")
    bed.ctl("n1", "stop")
    bed["n1"].wait_gone(30)


@case(1, start=False, oracle=False, **ALONE)
def test_S19_the_notes_slip_gets_an_answer(bed):
    """The notes say `rabbitmqctl -detached`; the tool names the program that was meant."""
    shows(bed.shell("n1", "rabbitmqctl -detached", code=64), "rabbitmq-server -detached")


@case(1, **ALONE)
def test_CLU_13_pause_and_kill_leave_nothing_behind(bed):
    """SIGSTOP and SIGCONT do no harm, and a node that was killed starts again by itself."""
    channel = bed.channel("n1", confirm=True)
    channel.queue_declare("kept", durable=True)
    channel.basic_publish("", "kept", "1", pika.BasicProperties(delivery_mode=2))
    bed["n1"].pause()
    eq(bed["n1"].state(), "paused")
    bed["n1"].resume()
    channel.basic_publish("", "kept", "2", pika.BasicProperties(delivery_mode=2))
    bed["n1"].kill()
    bed.start("n1")
    eq(bed.drain("n1", "kept"), ["1", "2"])


def notes_up_to_the_join(bed, first="centos7", second="centos72"):
    """The notes from the third step to the fifth: the secret copied by hand, all stopped, all detached."""
    bed.shell(first, "chmod 600 /var/lib/rabbitmq/.erlang.cookie")
    bed[first].cookie.write_text(bed[second].cookie.read_text())
    bed.shell(first, "chmod 400 /var/lib/rabbitmq/.erlang.cookie")
    for name in (first, second):
        bed.shell(name, "rabbitmqctl stop", code=None)  # the secret of a node that runs is the old one
        if bed[name].servers():
            bed[name].stop()
    for name in (first, second):
        bed.shell(name, "rabbitmq-server -detached")
    for name in (first, second):
        bed[name].wait_ready(40 * bed.slow)
        if bed.oracle:
            bed.ctl(name, "await_startup")
        shows(bed.shell(name, "rabbitmqctl status"), rf"^Status of node rabbit@{name} \.\.\.$")
        shows(bed.shell(name, "rabbitmqctl cluster_status"), rf"^Cluster status of node rabbit@{name} \.\.\.$")


@case(names=("centos7", "centos72"), cookie="", oracle=False, **ALONE)
def test_S18_the_notes_up_to_the_join(bed):
    """Two fresh hosts with secrets of their own become two nodes that trust each other."""
    bed.ctl("centos72", "-n", "rabbit@centos7", "status", code=69)
    notes_up_to_the_join(bed)
    bed.ctl("centos72", "-n", "rabbit@centos7", "status")
    bed.ctl("centos7", "-n", "rabbit@centos72", "cluster_status")


# -- who cannot be reached -------------------------------------------------------------------------


@case(2, **ALONE)
def test_S17_a_name_that_nobody_knows(bed):
    """The text says which name could not be resolved."""
    for words in (("-n", "rabbit@centos9", "status"), ("-n", "rabbit@centos9", "cluster_status")):
        shows(bed.ctl("n1", *words, code=69).stderr, "centos9", "DIAGNOSTICS")


@case(2, **ALONE)
def test_S17_a_host_without_a_node(bed):
    bed["n2"].kill()
    shows(bed.ctl("n1", "-n", "rabbit@n2", "status", code=69).stderr, "rabbit@n2", "DIAGNOSTICS")


@case(2, oracle=False, weight=7, **ALONE)
def test_S17_a_host_that_does_not_answer(bed):
    """A cut host: the tool gives up within its time and names it."""
    bed.cut("n1", "n2")
    shows(bed.ctl("n1", "-t", "5", "-n", "rabbit@n2", "status", code=None, timeout=30).stderr, "n2")
    bed.heal()
    bed.ctl("n1", "-n", "rabbit@n2", "status")


# -- cluster_status of a node alone ----------------------------------------------------------------

ALONE_AS_TERM = r"""Cluster status of node rabbit@n1 \.\.\.
\[\{nodes,\[\{disc,\[rabbit@n1\]\}\]\},
 \{running_nodes,\[rabbit@n1\]\},
 \{cluster_name,<<"rabbit@n1">>\},
 \{partitions,\[\]\},
 \{alarms,\[\{rabbit@n1,\[\]\}\]\}"""


@case(1, **ALONE)
def test_CLU_20_cluster_status_of_one(bed):
    shows(bed.ctl("n1", "cluster_status", "--formatter", "erlang").stdout, ALONE_AS_TERM)
    status = bed.status("n1")
    eq((status["disk_nodes"], status["running_nodes"], status["partitions"], status["alarms"]),
       (["rabbit@n1"], ["rabbit@n1"], {}, []))
    text = bed.ctl("n1", "cluster_status").stdout
    headings = ["Basics", "Disk Nodes", "Running Nodes", "Versions", "Maintenance status", "Alarms",
                "Network Partitions", "Listeners", "Feature flags"]
    eq([line for line in text.splitlines() if line in headings], headings, "headings in order")
    check("RAM Nodes" not in text, "RAM Nodes without any")
    shows(text, "^Cluster name: rabbit@n1$", "^Node: rabbit@n1, interface: .*, port: 25672, protocol: clustering")
