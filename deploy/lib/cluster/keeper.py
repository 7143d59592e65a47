"""The one process a cluster hangs on: the hub's network namespace, and the parent of every host.

Each host is a child with namespaces of its own (network, host name, mounts, processes). All of them
are bound to this process by the kernel's parent-death signal, and what runs in a host is bound to the
host's first process: when the keeper ends, by whatever means, nothing of the cluster goes on.
Owner: deploy/cluster. Run: keeper.py FOLDER (the plan is FOLDER/plan.json).
"""

import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
PR_SET_PDEATHSIG, MS_REC, MS_PRIVATE, MS_BIND = 1, 0x4000, 1 << 18, 0x1000
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags, what):
    check(libc.unshare(flags), what)


def mount(source, target, kind=None, flags=0, data=None):
    text = [word.encode() if word is not None else None for word in (str(source), str(target), kind)]
    check(libc.mount(*text, ctypes.c_ulong(flags), data.encode() if data else None),
          f"mount {kind or 'bind'} on {target}")


def die_with_parent(parent):
    """The kernel kills this process when its parent ends; also when it has ended already."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ip(*words, pid=None):
    """Runs `ip`, in the network of process `pid` when one is given."""
    command = (["nsenter", "-t", str(pid), "-n"] if pid else []) + ["ip", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


# -- a host's first process ---------------------------------------------------------------------------


def own_files(host, folder):
    """/etc, /var/lib and /var/log are writable copies; /run, data, logs and settings are the host's own."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # In memory: an overlay's upper side may not lie on another overlay, as a container's disc is.
    mount("tmpfs", folder / "overlay", "tmpfs", data="mode=755")
    for path in ("/etc", "/var/lib", "/var/log"):
        upper, work = (folder / "overlay" / path[1:].replace("/", "_") / part for part in ("upper", "work"))
        upper.mkdir(parents=True)
        work.mkdir()
        mount("overlay", path, "overlay", data=f"lowerdir={path},upperdir={upper},workdir={work}")
    mount("tmpfs", "/run", "tmpfs", data="mode=755")
    for inside, name in (("/var/lib/rabbitmq", "lib"), ("/var/log/rabbitmq", "log"),
                         ("/etc/rabbitmq", "etc"), ("/run/warren", "run")):
        os.makedirs(inside, exist_ok=True)
        if name == "lib" and host["disc_mb"]:
            mount("tmpfs", folder / name, "tmpfs", data=f"size={host['disc_mb']}m,mode=755")
        mount(folder / name, inside, flags=MS_BIND)
    pathlib.Path("/etc/hostname").write_text(host["name"] + "\n")
    pathlib.Path("/etc/hosts").write_text("127.0.0.1\tlocalhost\n" + host["hosts_file"])
    if host["cookie"]:
        cookie = pathlib.Path("/var/lib/rabbitmq/.erlang.cookie")
        cookie.write_text(host["cookie"])
        cookie.chmod(0o400)


def be_init(host, folder, tell):
    """Process 1 of the host: prepares it, says its own number outside, then buries the dead for ever."""
    outside = int(os.readlink("/proc/self"))
    check(libc.sethostname(host["name"].encode(), len(host["name"])), "sethostname")
    own_files(host, folder)
    mount("proc", "/proc", "proc")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.write(tell, str(outside).encode())
    os.close(tell)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigtimedwait({signal.SIGCHLD}, 0.5)


def guarded(tell, function):
    """Runs `function` in a forked child; an error becomes text in the pipe instead of a number."""
    try:
        function()
    except BaseException as error:  # pylint: disable=broad-except
        os.write(tell, f"! {error}".encode())
    finally:
        os._exit(1)


def start_host(host, folder, children):
    """Forks a host and notes the child that waits for it; the host's process 1 as seen from here."""
    for name in ("lib", "log", "etc", "run", "overlay"):
        (folder / name).mkdir(parents=True)
    listen, tell = os.pipe()
    keeper = os.getpid()

    def outer():
        os.close(listen)
        die_with_parent(keeper)
        unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID, "new namespaces")
        inner = os.fork()
        if inner == 0:
            # Process 1 sees no parent: it asks for the signal and trusts that `outer` still lives.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            guarded(tell, lambda: be_init(host, folder, tell))
        os.close(tell)
        os.waitpid(inner, 0)

    waiter = os.fork()
    if waiter == 0:
        guarded(tell, outer)
    children.append(waiter)
    os.close(tell)
    text = b""
    while chunk := os.read(listen, 4096):
        text += chunk
    os.close(listen)
    if not text.isdigit():
        raise OSError(f"host {host['name']}: {text.decode(errors='replace').lstrip('! ') or 'died'}")
    return int(text)


# -- the keeper ----------------------------------------------------------------------------------------


def connect(host, pid):
    """A cable from the host's eth0 to a port of the hub's bridge."""
    port = f"h{host['number']}"
    ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pid)
    ip("link", "set", port, "master", "br0", "up")
    ip("link", "set", "lo", "up", pid=pid)
    ip("addr", "add", f"{host['address']}/24", "dev", "eth0", pid=pid)
    ip("link", "set", "eth0", "up", pid=pid)


def save(path, value):
    """Whole or not at all: others read it while we write."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1))
    part.rename(path)


def start_time(pid):
    """A process's start in clock ticks: with its number it names the process for ever."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def run(folder, plan, children):
    unshare(CLONE_NEWNET, "a network namespace for the hub")
    ip("link", "set", "lo", "up")
    ip("link", "add", "br0", "type", "bridge")
    ip("link", "set", "br0", "up")
    state = {**plan, "keeper": os.getpid(), "keeper_start": start_time(os.getpid()), "cuts": [],
             "loss": {}, "delay": {}}
    for host in plan["hosts"]:
        pid = start_host(host, folder / host["name"], children)
        connect(host, pid)
        host["pid"], host["pid_start"] = pid, start_time(pid)
        del host["cookie"]
    save(folder / "state.json", state)


def keep(folder, plan):
    """Waits for the end: SIGTERM, or the end of the process the cluster is tied to."""
    ended = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.append(True))
    tied = os.pidfd_open(plan["tied_to"]) if plan["tied_to"] else None
    while not ended:
        try:
            if tied is None:
                time.sleep(3600)
            elif select.select([tied], [], [], 3600)[0]:
                break
        except InterruptedError:
            pass


def end(children):
    """Kills every host and waits until the kernel has taken it down."""
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)


def main():
    folder = pathlib.Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").unlink()  # it holds the cookie
    children = []
    try:
        run(folder, plan, children)
        keep(folder, plan)
        code = 0
    except OSError as error:
        print(error, flush=True)
        (folder / "failed").write_text(str(error))
        code = 1
    end(children)
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
