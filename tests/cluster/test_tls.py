"""TLS between nodes and from the tools to nodes (CLU-27)."""

import functools
import pathlib
import subprocess
import tempfile

from harness import case, check, eq, until

CONF = """CLUSTER_TLS_CACERTFILE=/etc/rabbitmq/ca.pem
CLUSTER_TLS_CERTFILE=/etc/rabbitmq/host.pem
CLUSTER_TLS_KEYFILE=/etc/rabbitmq/host.key
"""


@functools.cache
def authority(name):
    """A folder with a CA and a certificate of it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"warren-ca-{name}-"))

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=member", "-keyout", "host.key", "-out", "host.csr")
    openssl("x509", "-req", "-in", "host.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-out", "host.pem")
    return folder


def use(bed, host, name, conf=CONF):
    for file in ("ca.pem", "host.pem", "host.key"):
        (bed[host].etc / file).write_bytes((authority(name) / file).read_bytes())
    (bed[host].etc / "rabbitmq-env.conf").write_text(conf)


@case(joined=False, start=False, oracle=False)
def test_CLU_27_tls_between_nodes(bed):
    """Three nodes and their tools speak TLS 1.2 or later with each other; clear text is not answered."""
    for host in ("n1", "n2", "n3"):
        use(bed, host, "ours")
    bed.start("n1", "n2", "n3")
    bed.join("n2", "n1")
    bed.join("n3", "n2", ram=True)
    bed.until_running(("n1", "n2", "n3"), {"n1", "n2", "n3"})
    bed.channel("n1").queue_declare("q", durable=True)
    sender = bed.channel("n3", confirm=True)
    sender.basic_publish("", "q", "over the cable")
    eq(bed.drain("n2", "q"), ["over the cable"])
    shown = bed.shell("n2", "echo | openssl s_client -connect n1:25672 -alpn h2 -CAfile /etc/rabbitmq/ca.pem "
                            "-cert /etc/rabbitmq/host.pem -key /etc/rabbitmq/host.key | tr -cd '[:print:]\\n'", code=None)
    check("Verify return code: 0 (ok)" in shown and ("TLSv1.3" in shown or "TLSv1.2" in shown), shown[-800:])
    plain = bed.shell("n2", "exec 3<>/dev/tcp/n1/25672; printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' >&3; "
                            "timeout 5 cat <&3 | wc -c", code=None)
    answer = (plain.split() or ["0"])[-1]  # nothing at all when the shell met the reset while it wrote
    check(answer.isdigit() and int(answer) < 16, "answers in the clear:", plain)  # an alert is 7 bytes


@case(joined=False, start=False, oracle=False, table={"plain": None, "other CA": "theirs"})
def test_CLU_27_who_does_not_fit_stays_outside(bed, theirs):
    """Neither a node without TLS nor one with another CA's certificate gets in; it is told what to look at."""
    use(bed, "n1", "ours")
    if theirs:
        use(bed, "n2", theirs)
    bed.start("n1", "n2")
    bed.ctl("n2", "stop_app")
    text = bed.ctl("n2", "join_cluster", "rabbit@n1", code=69).text
    check("TLS" in text and "RABBITMQ_CLUSTER_TLS_" in text, text)
    bed.ctl("n2", "start_app")
    eq(bed.members("n1"), {"n1"})


@case(count=1, joined=False, start=False, oracle=False, table={
    "half": ("CLUSTER_TLS_CACERTFILE=/etc/rabbitmq/ca.pem\n", "CLUSTER_TLS_CERTFILE is not set"),
    "missing": (CONF.replace("host.key", "gone.key"), "gone.key: cannot be read"),
    "no key": (CONF.replace("host.key", "host.pem"), "host.pem: holds no private key"),
    "another CA": (CONF.replace("ca.pem", "theirs.pem"), "host.pem: is not accepted by the CA in /etc/rabbitmq/theirs.pem"),
    "wrong CA file": (CONF.replace("ca.pem", "host.key"), "host.key: holds no certificate")})
def test_CLU_27_bad_files_stop_the_start(bed, what):
    conf, wanted = what
    use(bed, "n1", "ours", conf)
    (bed["n1"].etc / "theirs.pem").write_bytes((authority("theirs") / "ca.pem").read_bytes())
    bed.start("n1", wait=False)
    console = bed["n1"].log / "console.log"
    until(lambda: wanted in console.read_text(), wanted, 20, last=console.read_text)
    bed["n1"].wait_gone()
