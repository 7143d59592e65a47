"""The programs of the suite: how each is built and run. Owner: tests/clients/run."""

import collections
import os
import pathlib
import subprocess

import flows
import node

HERE = pathlib.Path(__file__).resolve().parent
Program = collections.namedtuple("Program", "name function")
PROGRAMS = []


def program(function):
    """Adds `function(suite) -> (number passed, [failures])` to the list."""
    PROGRAMS.append(Program(function.__name__, function))
    return function


def environment(suite, **more):
    return {**os.environ, "AMQP_PORT": str(suite.port), "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(suite.folder), **more}


def build(command, env=None, cwd=None):
    done = subprocess.run([str(word) for word in command], env=env, cwd=cwd, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: exit {done.returncode}: {done.stdout[-1200:]}")


@program
def durability(suite):
    return flows.durability(suite)


@program
def notes_page(suite):
    return flows.notes_page(suite)


@program
def java(suite):
    classes = suite.folder / "classes"
    path = ":".join(f"/usr/share/java/{jar}.jar" for jar in ("amqp-client", "slf4j-api"))
    build(["javac", "-proc:none", "-cp", path, "-d", classes, HERE / "java" / "Client.java"])
    return suite.run_command("java", ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp",
                                      f"{classes}:{path}", "Client"], environment(suite))


@program
def go(suite):
    """Debian keeps Go libraries as source below one GOPATH; the compiler's cache is the user's."""
    env = environment(suite, GOPATH="/usr/share/gocode", GO111MODULE="off", GOFLAGS="-p=2",
                      GOCACHE=os.environ.get("GOCACHE", os.path.expanduser("~/.cache/go-build")))
    build(["go", "build", "-o", suite.folder / "go_client", "main.go"], env, HERE / "go")
    return suite.run_command("go", [suite.folder / "go_client"], env)


@program
def pika(suite):
    return suite.run_command("pika", ["/usr/bin/python3", HERE / "python" / "pika_client.py"],
                             environment(suite))


def certificates(folder):
    """An authority and a certificate of this host, for two days."""
    openssl = lambda *args: build(["openssl", *args], cwd=folder)  # noqa: E731
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=Clients CA")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
            "-subj", "/CN=localhost")
    (folder / "server.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "server.ext")


def over_tls(suite, name, command):
    """All cases of a program once more, on a TLS listener of a node of its own."""
    port = node.free_port()
    one = suite.node(name)
    certificates(one.folder)
    one.config_path.write_text(
        f"listeners.ssl.default = {port}\n" + "".join(
            f"ssl_options.{key} = {one.folder}/{file}\n" for key, file in (
                ("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key"))))
    one.start()
    return suite.run_command(name, command, environment(
        suite, AMQP_PORT=str(port), AMQP_TLS_CA=str(one.folder / "ca.pem")))


@program
def pika_tls(suite):
    return over_tls(suite, "pika_tls", ["/usr/bin/python3", HERE / "python" / "pika_client.py"])


@program
def php(suite):
    return suite.run_command("php", ["php", "-d", "include_path=/usr/share/php",
                                     HERE / "php" / "client.php"], environment(suite))


@program
def ruby(suite):
    return suite.run_command("ruby", ["ruby", HERE / "ruby" / "client.rb"], environment(suite))


def npm_folder(suite):
    """Where the packages of node/package-lock.json are, fetched once per checkout."""
    with suite.npm:
        folder = HERE / "node"
        if not (folder / "node_modules" / ".package-lock.json").exists():
            build(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)
        return folder


@program
def amqplib(suite):
    folder = npm_folder(suite)
    return suite.run_command("amqplib", ["node", folder / "amqplib.mjs"], environment(suite))


@program
def amqplib_tls(suite):
    return over_tls(suite, "amqplib_tls", ["node", npm_folder(suite) / "amqplib.mjs"])


@program
def cloudamqp(suite):
    folder = npm_folder(suite)
    return suite.run_command("cloudamqp", ["node", folder / "cloudamqp.mjs"], environment(suite))


def celery_flows(suite, name, backend):
    marks = suite.folder / name
    (marks / "results").mkdir(parents=True)
    env = environment(suite, JOBS_MARKS=str(marks), JOBS_QUEUE=name,
                      JOBS_BACKEND=backend or f"file://{marks}/results",
                      C_FORCE_ROOT="1", PYTHONPATH=str(HERE / "celery"))
    return suite.run_command(name, ["/usr/bin/python3", HERE / "celery" / "flows.py"], env)


@program
def celery(suite):
    return celery_flows(suite, "celery", "rpc://")


@program
def celery_chord(suite):
    return celery_flows(suite, "celery_chord", None)


@program
def librabbitmq(suite):
    binary = suite.folder / "c_client"
    build(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Wno-clobbered", "-o", binary,
           HERE / "c" / "client.c", "-lrabbitmq"])
    return suite.run_command("librabbitmq", [binary], environment(suite))


@program
def amqp_tools(suite):
    return suite.run_command("amqp_tools", ["bash", HERE / "c" / "tools.sh"],
                             environment(suite, TOOLS_OUT=str(suite.folder / "tools.out")))


@program
def tutorials(suite):
    desk = suite.folder / "tutorials"
    desk.mkdir()
    return suite.run_command("tutorials", ["/usr/bin/python3", HERE / "python" / "tutorials.py"],
                             environment(suite, TUTORIAL_DESK=str(desk)))
