"""Delays what its host sends to the other hosts: for kernels without netem.

A TUN device takes the packets (its two routes are more specific than eth0's), a raw socket bound to
eth0 sends them on when their time has come, in their order. Runs inside the host; SIGTERM ends it and
the device with it. Owner: faults.py. Run: relay.py MILLISECONDS
"""

import collections
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SO_BINDTODEVICE = 25
MAX_WAITING = 200_000  # packets; what comes then is lost, as in a full switch


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def device():
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"delay0", IFF_TUN | IFF_NO_PI))
    address = subprocess.run(["ip", "-4", "-o", "addr", "show", "dev", "eth0"], check=True,
                             capture_output=True, text=True).stdout.split()[3].split("/")[0]
    ip("link", "set", "delay0", "mtu", "1500", "txqueuelen", "10000", "up")
    net = address.rsplit(".", 1)[0]
    for half in (f"{net}.0/25", f"{net}.128/25"):
        ip("route", "add", half, "dev", "delay0", "src", address)
    return tun


def relay(tun, out, delay):
    waiting = collections.deque()
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            packet = waiting.popleft()[1]
            try:
                out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
            except OSError:
                pass  # a packet may be lost
        select.select([tun], [], [], max(0, waiting[0][0] - now) if waiting else None)
        try:
            for _ in range(256):
                packet = os.read(tun, 65536)
                if packet[0] >> 4 == 4 and len(waiting) < MAX_WAITING:
                    waiting.append((time.monotonic() + delay, packet))
        except BlockingIOError:
            pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    out.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0")
    relay(device(), out, float(sys.argv[1]) / 1000)


if __name__ == "__main__":
    main()
