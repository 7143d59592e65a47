"""Publishers and consumers that live through faults, and the ledger of what was confirmed.

Every body is used once: `NAME NUMBER`. What was confirmed must be in the queue, once and in order;
what was not may be there or not (I1 and I3 of reliability.md).
"""

import contextlib
import socket
import threading
import time

import pika
from harness import check

LOST = (pika.exceptions.AMQPError, OSError)
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def cut_socket(link):
    """Wakes a thread that waits inside Pika: its connection breaks."""
    with contextlib.suppress(Exception):
        link._impl._transport._sock.shutdown(socket.SHUT_RDWR)


class Worker(threading.Thread):
    """A thread with a connection to one host that connects again for as long as it is wanted."""

    def __init__(self, bed, host, name):
        super().__init__(name=name, daemon=True)
        self.bed, self.host, self.over, self.link = bed, host, threading.Event(), None
        self.errors, self.crash = [], None
        bed.on_end(self.finish)
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                try:
                    self.link = self.bed.connect(self.host)
                    self.work(self.link.channel())
                except LOST as why:
                    self.errors.append(f"{type(why).__name__}: {str(why)[:200]}")
                    self.over.wait(0.05)
        except Exception as why:  # told by finish()
            self.crash = why

    def work(self, channel):
        raise NotImplementedError

    def finish(self, timeout=10):
        self.over.set()
        for _ in range(int(timeout * 2)):
            self.join(0.5)
            if not self.is_alive():
                break
            if self.link:
                cut_socket(self.link)
        check(not self.is_alive(), self.name, "does not end")
        if self.crash:
            raise self.crash


class Publisher(Worker):
    """Publishes confirmed, persistent messages one by one; never sends a body twice."""

    def __init__(self, bed, host, queue, name=None, pause=0.0):
        self.queue, self.confirmed, self.sent, self.pause = queue, [], 0, pause
        self.nacked, self.longest, self.last = 0, 0.0, None
        super().__init__(bed, host, name or f"{host}-{queue}")

    def work(self, channel):
        channel.confirm_delivery()
        while not self.over.is_set():
            self.sent += 1
            number = self.sent
            try:
                channel.basic_publish("", self.queue, f"{self.name} {number}", PERSISTENT)
            except pika.exceptions.NackError:
                self.nacked += 1
                self.over.wait(0.05)
                continue
            self.confirmed.append(number)
            now = time.monotonic()
            if self.last:
                self.longest = max(self.longest, now - self.last)
            self.last = now
            if self.pause:
                self.over.wait(self.pause)

    def wait_more(self, count, timeout=30):
        """Waits for `count` further confirms."""
        goal, deadline = len(self.confirmed) + count, time.monotonic() + timeout
        while len(self.confirmed) < goal:
            if time.monotonic() > deadline:
                raise AssertionError(f"publisher {self.name}: {len(self.confirmed)} confirms, wanted {goal} "
                                     f"within {timeout} s; last errors {self.errors[-3:]}, nacks {self.nacked}")
            time.sleep(0.01)


class Consumer(Worker):
    """Consumes with acknowledgement, and keeps what it acknowledged in order of arrival."""

    def __init__(self, bed, host, queue, prefetch=50):
        self.queue, self.prefetch, self.got, self.redelivered = queue, prefetch, [], 0
        super().__init__(bed, host, f"consumer-{host}-{queue}")

    def work(self, channel):
        channel.basic_qos(prefetch_count=self.prefetch)
        for method, _, body in channel.consume(self.queue, inactivity_timeout=0.1):
            if method is not None:
                self.redelivered += method.redelivered
                self.got.append(body.decode())
                channel.basic_ack(method.delivery_tag)
            if self.over.is_set():
                break
            if not channel.is_open or not channel.consumer_tags:
                return


def missing(publisher, bodies):
    """The numbers that were confirmed and are not there."""
    there = {int(number) for name, _, number in (body.rpartition(" ") for body in bodies)
             if name == publisher.name}
    return sorted(set(publisher.confirmed) - there)


def nothing_lost(publishers, bodies_of):
    """Every confirmed message is in its queue, once, in its publisher's order."""
    for publisher in publishers:
        bodies = bodies_of(publisher.queue)
        lost = missing(publisher, bodies)
        check(not lost, f"{publisher.name}: {len(lost)} of {len(publisher.confirmed)} confirmed are lost:",
              lost[:8])
        numbers = [int(number) for name, _, number in (body.rpartition(" ") for body in bodies)
                   if name == publisher.name]
        check(numbers == sorted(set(numbers)), f"{publisher.name}: order or duplicates:",
              [pair for pair in zip(numbers, numbers[1:]) if pair[0] >= pair[1]][:5])


def drained(bed, host):
    """{queue: bodies}, each queue read once, through one host."""
    seen = {}

    def bodies_of(queue):
        if queue not in seen:
            seen[queue] = bed.drain(host, queue, settle=0.3)
        return seen[queue]
    return bodies_of
