"""Planned stops: maintenance mode, and whether a node may go (CLU-23, CLU-24)."""

import contextlib
import time

import pika
from harness import case, check, eq, until

GONE = (pika.exceptions.AMQPError, OSError)


def states(bed, host):
    status = bed.status(host)
    return {node.split("@")[1]: text for node, text in status["maintenance_status"].items()}


@case(oracle=False)
def test_CLU_23_drain_and_revive(bed):
    """Clients go with 320, none come in, leadership moves; the others go on; revive ends it."""
    bed.channel("n2").queue_declare("q", durable=True)
    here = bed.connect("n1")
    bed.ctl("n1", "drain", tool="rabbitmq-upgrade")
    try:
        here.process_data_events(5)
        why = None
    except pika.exceptions.ConnectionClosedByBroker as closed:
        why = closed
    eq(why and why.reply_code, 320)
    check("maintenance" in why.reply_text, why.reply_text)
    try:
        bed.connect("n1")
        check(False, "a client came in")
    except GONE:
        pass
    eq(states(bed, "n2"), {"n1": "marked for maintenance", "n2": "not under maintenance",
                           "n3": "not under maintenance"})
    check("true" in bed.ctl("n1", "status", "--formatter", "json").stdout.split("is_under_maintenance")[1][:8], "status")
    sender = bed.channel("n2", confirm=True)  # the majority has a leader that is not n1
    sender.queue_declare("made.meanwhile", durable=True)
    sender.basic_publish("", "q", "m")
    text = bed.ctl("n1", "check_if_node_is_quorum_critical", tool="rabbitmq-queues").text
    check("Node rabbit@n1 seems to be in maintenance mode, the check does not apply" in text, text)
    bed.ctl("n1", "revive", tool="rabbitmq-upgrade")
    eq(set(states(bed, "n3").values()), {"not under maintenance"})
    eq(bed.drain("n1", "q"), ["m"])


@case(count=1, oracle=False)
def test_CLU_23_clients_leave_evenly(bed):
    """--spread: not all at once, and in the end all (D10); a stop of the app forgets maintenance."""
    links = [bed.connect("n1") for _ in range(8)]

    def alive():
        for link in links:
            with contextlib.suppress(*GONE):
                if link.is_open:
                    link.process_data_events(0)
        return sum(link.is_open for link in links)
    bed.ctl("n1", "drain", "--spread", "4", tool="rabbitmq-upgrade")
    counts = [alive()]
    deadline = time.monotonic() + 20
    while counts[-1] and time.monotonic() < deadline:
        time.sleep(0.2)
        counts.append(alive())
    eq(counts[-1], 0)
    check(len(set(counts) - {0, 8}) >= 2, "not spread:", counts)
    bed.ctl("n1", "stop_app")
    bed.ctl("n1", "start_app")
    eq(states(bed, "n1"), {"n1": "not under maintenance"})
    bed.connect("n1")
    bed.ctl("n1", "drain", "--spread", "-1", tool="rabbitmq-upgrade", code=None)
    eq(states(bed, "n1"), {"n1": "not under maintenance"})


@case(oracle=False)
def test_CLU_24_may_this_node_go(bed):
    """With all three up it may; with one down its stop would take the metadata's majority."""
    bed.ctl("n1", "await_online_quorum_plus_one", "-t", "20", tool="rabbitmq-upgrade")
    bed.ctl("n1", "check_if_node_is_quorum_critical", tool="rabbitmq-queues")
    bed["n3"].kill()
    bed.until_running(("n1",), {"n1", "n2"})
    text = bed.ctl("n1", "check_if_node_is_quorum_critical", tool="rabbitmq-queues", code=69).text
    check("2 of 3 disc nodes are up" in text and "would lose its majority" in text, text)
    text = bed.ctl("n1", "await_online_quorum_plus_one", "-t", "2", tool="rabbitmq-upgrade", code=69).text
    check("time is up" in text, text)
    bed.start("n3")
    until(lambda: bed.ctl("n1", "await_online_quorum_plus_one", "-t", "20", tool="rabbitmq-upgrade"), "it may go again")


@case(count=1, oracle=False)
def test_CLU_24_alone_there_is_nothing_to_wait_for(bed):
    bed.ctl("n1", "await_online_quorum_plus_one", "-t", "5", tool="rabbitmq-upgrade")
    text = bed.ctl("n1", "check_if_node_is_quorum_critical", tool="rabbitmq-queues").text
    check("the only one in a single node cluster" in text, text)
