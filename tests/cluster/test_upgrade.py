"""Feature flags and releases side by side: CLU-25, CLU-26.

0.2.0 and 0.3.0 are the same program that says it is a later release (tests/cluster/next): it knows two more
feature flags, `written_anew` (stable) and `on_trial` (experimental); 0.3.0 no longer speaks with this one.
"""

import pathlib

from harness import TOP, Skip, case, check, eq, shows, until
from test_faults import ALL, Load

OLD, NEXT, LATER = "0.1.0", "0.2.0", "0.3.0"


def put(bed, release, *names):
    """These hosts have that release installed; what runs there is not touched."""
    folder = pathlib.Path(bed.bin) if release == OLD else TOP / "build" / "next" / release
    if not (folder / "rabbitmq-server").exists():
        raise Skip(f"release {release} is not built: ninja -C build warren_{release}")
    for name in names:
        bed[name].bin = str(folder)


def change(bed, name, release):
    """As an operator upgrades one node."""
    bed.ctl(name, "stop")
    bed[name].wait_gone()
    put(bed, release, name)
    bed.start(name)


def flag(bed, name, which):
    """A flag's row as that node sees it."""
    return next((row for row in bed.rows(name, "list_feature_flags", "name", "state", "stability")
                 if row["name"] == which), None)


def state(bed, name, which="written_anew"):
    return (flag(bed, name, which) or {}).get("state")


def log_shows(bed, name, *words):
    def there():
        text = "".join(path.read_text(errors="replace") for path in bed[name].log.glob("*.log"))
        return any(all(word in line for word in words) for line in text.splitlines())
    until(there, f"{words} in a line of {name}'s logs", 20)


# -- one release -----------------------------------------------------------------------------------


@case(2, oracle=False)
def test_CLU_25_flags_of_one_release(bed):
    """All are on; asking for them again is fine, for others is not; every way of asking says the same."""
    rows = bed.rows("n1", "list_feature_flags", "name", "state", "stability")
    check({"quorum_queue", "implicit_default_bindings", "user_limits"} <= {row["name"] for row in rows}, rows)
    eq({(row["state"], row["stability"]) for row in rows}, {("enabled", "required")})
    for which in ("quorum_queue", "all"):
        bed.ctl("n2", "enable_feature_flag", which)
    shows(bed.ctl("n2", "enable_feature_flag", "no_such_flag", code=64).stderr, "no_such_flag", "rabbit@n2")
    flags = bed.status("n2")["feature_flags"]
    eq(sorted((row["name"], row["state"]) for row in flags), sorted((row["name"], row["state"]) for row in rows))
    shows(bed.ctl("n1", "cluster_status").stdout, "^Feature flags$", "^Flag: quorum_queue, state: enabled$")


# -- two releases ----------------------------------------------------------------------------------


@case(2, joined=False, start=False, oracle=False)
def test_CLU_25_an_old_node_does_not_join_a_new_cluster(bed):
    put(bed, NEXT, "n1")
    bed.start("n1", "n2")
    eq(state(bed, "n1"), "enabled", "a new cluster begins with its release's stable flags")
    eq(state(bed, "n1", "on_trial"), "disabled")
    bed.ctl("n2", "stop_app")
    text = bed.ctl("n2", "join_cluster", "rabbit@n1", code=69).text
    shows(text, "incompatible_feature_flags", "written_anew", "rabbit@n2", OLD, "rabbit@n1", NEXT)
    bed.ctl("n2", "start_app")
    eq(bed.members("n2"), {"n2"}, "the joiner is as it was")
    eq(bed.members("n1"), {"n1"})


@case(2, joined=False, start=False, oracle=False)
def test_CLU_25_a_new_node_joins_an_old_cluster(bed):
    """It uses nothing new until every member knows it and somebody says so."""
    put(bed, NEXT, "n2")
    bed.start("n1", "n2")
    bed.join("n2", "n1")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    for name in ("n1", "n2"):
        eq(state(bed, name), "unavailable", f"seen from {name}")
        versions = {node: row["warren_version"] for node, row in bed.status(name)["versions"].items()}
        eq(versions, {"rabbit@n1": OLD, "rabbit@n2": NEXT})
    for which in ("written_anew", "all"):
        shows(bed.ctl("n2", "enable_feature_flag", which, code=64).stderr, "written_anew", "rabbit@n1", OLD)
    bed.ctl("n1", "enable_feature_flag", "all")  # of what the old release knows
    change(bed, "n1", NEXT)
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    eq(state(bed, "n1"), "disabled")
    shows(bed.ctl("n1", "enable_feature_flag", "on_trial", code=65).stderr, "experimental")
    bed.ctl("n1", "enable_feature_flag", "all")
    bed.ctl("n1", "enable_feature_flag", "--experimental", "on_trial")
    for name in ("n1", "n2"):
        eq([state(bed, name), state(bed, name, "on_trial")], ["enabled", "enabled"])


@case(2, ram=("n2",), oracle=False)
def test_CLU_25_flags_are_enabled_only_with_all_members(bed):
    """A member that is away may be of any release: it is waited for, not guessed at."""
    for name in ("n1", "n2"):
        change(bed, name, NEXT)
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    bed["n2"].kill()
    shows(bed.ctl("n1", "enable_feature_flag", "all", code=69).stderr, "rabbit@n2")
    eq(state(bed, "n1"), "disabled")
    bed.start("n2")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
    bed.ctl("n1", "enable_feature_flag", "all")
    eq(state(bed, "n2"), "enabled")


@case(weight=25, oracle=False)
def test_CLU_26_rolling_upgrade_forth_and_back_and_forth(bed):
    """Node by node under confirmed publishing: mixed clusters work, and until flags are enabled each may go back."""
    load = Load(bed)
    for name, release in (("n1", NEXT), ("n2", NEXT), ("n1", OLD), ("n3", NEXT), ("n1", NEXT)):
        change(bed, name, release)
        bed.until_running(ALL, set(ALL), 30)
        load.all_get_on()
        channel = bed.channel(name)
        channel.queue_declare(f"made.{name}", durable=True)
        channel.queue_delete(f"made.{name}")
        channel.connection.close()
    load.check()
    bed.ctl("n2", "enable_feature_flag", "all")
    for name in ALL:
        eq(state(bed, name), "enabled", f"seen from {name}")


@case(2, start=False, joined=False, oracle=False)
def test_CLU_26_no_downgrade(bed):
    """Once something new is on, an older release refuses the data and says why; the newer one takes them."""
    put(bed, NEXT, "n1", "n2")
    bed.start("n1", "n2")
    bed.join("n2", "n1")
    for name, ended in (("n2", "in a cluster"), ("n1", "the last one")):
        bed.ctl(name, "stop")
        bed[name].wait_gone()
        put(bed, OLD, name)
        bed.start(name, wait=False)
        until(lambda n=name: "BOOT FAILED" in bed[n].tail(4000), f"{name} refuses ({ended})", 20)
        shows(bed[name].tail(4000), "written_anew", f"release {NEXT}", f"release {OLD} does not know", "no way back")
        bed[name].wait_gone()
    put(bed, NEXT, "n1", "n2")
    bed.start("n1", "n2", wait=False)
    bed.until_running(("n1", "n2"), {"n1", "n2"}, 30)


@case(2, start=False, joined=False, oracle=False)
def test_CLU_26_no_common_protocol(bed):
    """Two releases at once is too far: nobody joins or comes back, and both logs and the doctor say why."""
    put(bed, LATER, "n2")
    bed.start("n1", "n2")
    bed.ctl("n2", "stop_app")
    words = ("no common protocol version", "rabbit@n1 speaks 1 to 1", "rabbit@n2 speaks 2 to 3")
    shows(bed.ctl("n2", "join_cluster", "rabbit@n1", code=None).text, *words)
    log_shows(bed, "n1", "no common protocol version", "rabbit@n2")
    shows(bed.ctl("n2", "cluster_doctor", "rabbit@n1", tool="rabbitmq-diagnostics", code=None).text, "versions", "2 to 3")
    bed.ctl("n2", "start_app")
    eq(bed.members("n1"), {"n1"})


@case(2, oracle=False)
def test_CLU_26_a_release_left_out(bed):
    bed.ctl("n2", "stop")
    bed["n2"].wait_gone()
    put(bed, LATER, "n2")
    bed.start("n2", wait=False)
    for name in ("n1", "n2"):
        log_shows(bed, name, "no common protocol version", "rabbit@n1 speaks 1 to 1", "rabbit@n2 speaks 2 to 3")
    bed.power_off("n2")
    put(bed, OLD, "n2")
    bed.start("n2")
    bed.until_running(("n1", "n2"), {"n1", "n2"})
