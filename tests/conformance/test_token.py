"""CON-05, CON-31, CON-32, ACC-11, ACC-12: which logins count, and those with OAuth 2.0 tokens."""

import time
import urllib.error
import urllib.request

from amqp_wire import encode_table
from harness import case, closes_channel, closes_connection, eq, has, until
from tokens import Issuer


def _issuer(env):
    return Issuer(env.suite.nodes.folder)


def _renew(conn, token):
    conn.send_method(0, "connection.update-secret", new_secret=token.encode(), reason="renewal")
    conn.expect(0, "connection.update-secret-ok")


@case(node="tokens")
def test_ACC_11_token_first_then_the_nodes_own_users(env):
    """asked RabbitMQ 3.10.8: the user is the token's sub, whatever name the client gives."""
    conn = env.conn(user="whoever", password=_issuer(env).token())
    env.conn(user="guest", password="guest")
    row = [r for r in env.rows("list_connections", "user", "peer_port")
           if str(r["peer_port"]) == str(conn.sock.getsockname()[1])]
    eq([r["user"] for r in row], ["tess"])


BAD = {"expired": dict(lasts=-10), "other-key": dict(key="other"), "no-such-key": dict(kid="nope"),
       "alg-none": dict(alg="none"), "public-key-as-secret": dict(alg="HS256"),
       "key-of-another-kind": dict(kid="curve"), "wrong-audience": dict(aud=["else"]),
       "no-audience": dict(aud=None)}


@case(node="tokens", table=BAD)
def test_ACC_12_bad_token_is_a_failed_login(env, how):
    token = _issuer(env).token(**how)
    with closes_connection(403, "ACCESS_REFUSED - Login was refused"):
        env.conn(user="tess", password=token)


@case(node="tokens")
def test_ACC_12_token_that_was_changed(env):
    head, body, signature = _issuer(env).token().split(".")
    for changed in (f"{head}.{body}.{signature[:-6]}AAAAAA", f"{head}.{body}",
                    f"{head}.{_issuer(env).token(sub='boss').split('.')[1]}.{signature}"):
        with closes_connection(403):
            env.conn(user="tess", password=changed)


@case(node="tokens", table={"ES256": dict(alg="ES256", key="curve", kid="curve"),
                            "default-key": dict(header={"kid": None})})
def test_ACC_12_algorithms_and_keys(env, how):
    env.conn(password=_issuer(env).token(**how))


@case(node="tokens")
def test_ACC_12_scopes_are_permissions(env):
    """asked RabbitMQ 3.10.8: a topic exchange needs a scope with a routing key."""
    issuer = _issuer(env)
    vhost = env.vhost()
    everything = env.ch(password=issuer.token(), vhost=vhost)
    everything.declare("mine-1")
    everything.declare("other")
    token = issuer.token(f"mq.read:{vhost}/mine* mq.write:{vhost}/amq.direct "
                         f"mq.write:{vhost}/amq.topic/a.* mq.configure:{vhost}/mine*")
    with closes_connection(530, "NOT_ALLOWED - access to vhost '/' refused for user 'tess'"):
        env.conn(password=token)
    conn = env.conn(password=token, vhost=vhost)
    conn.channel().declare("mine-2")
    conn.channel().get("mine-1")
    with closes_channel(403):
        conn.channel().get("other")
    with closes_channel(403):
        conn.channel().declare("new")
    ch = conn.channel()
    ch.publish("amq.direct", "k", b"x")
    ch.publish("amq.topic", "a.b", b"x")
    ch.sync()
    for exchange, key in (("amq.fanout", "k"), ("amq.topic", "b.b")):
        with closes_channel(403, "ACCESS_REFUSED"):
            ch = conn.channel()
            ch.publish(exchange, key, b"x")
            ch.sync()


@case(node="tokens")
def test_ACC_12_encoded_names(env):
    """The vhost / is %2F in a scope."""
    token = _issuer(env).token("mq.read:%2F/* mq.configure:%2f/* mq.write:%2F/*")
    env.ch(password=token).declare(exclusive=True)


def _bearer(env, path, token):
    request = urllib.request.Request(f"http://127.0.0.1:{env.node.http_port}{path}")
    request.add_header("authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@case(node="tokens", oracle=False, reason="3.10 asks for more settings before it takes a bearer token")
def test_ACC_12_management_api_with_a_bearer_token(env):
    issuer = _issuer(env)
    eq(_bearer(env, "/api/overview", issuer.token()), 401)
    eq(_bearer(env, "/api/overview", issuer.token("mq.tag:management mq.read:*/*")), 200)
    eq(_bearer(env, "/api/users", issuer.token("mq.tag:management mq.read:*/*")), 401)
    eq(_bearer(env, "/api/users", issuer.token("mq.tag:administrator")), 200)
    eq(_bearer(env, "/api/users", issuer.token("mq.tag:administrator", lasts=-5)), 401)
    eq(_bearer(env, "/api/users", "guest"), 401)


# -- CON-31, CON-32 ------------------------------------------------------------------------------

@case(node="tokens", oracle=False, reason="3.10 has no timer for credentials (4.x does)")
def test_CON_32_connection_is_closed_when_the_token_expires(env):
    conn = env.conn(password=_issuer(env).token(lasts=3))
    begin = time.monotonic()
    with closes_connection(320, "CONNECTION_FORCED - credential expired"):
        conn.expect(0, "connection.unblocked", timeout=10)
    assert 1 < time.monotonic() - begin < 6


@case(node="tokens")
def test_CON_32_update_secret_renews(env):
    issuer = _issuer(env)
    conn = env.conn(password=issuer.token(lasts=3))
    _renew(conn, issuer.token(lasts=60))
    time.sleep(4.5)  # time is the subject
    conn.channel().declare(exclusive=True)


@case(node="tokens", table={"expired": dict(lasts=-5), "other-user": dict(sub="boss"),
                            "other-key": dict(key="other")},
      oracle=False, reason="3.10 takes expired ones and those of others")
def test_CON_31_refused_token(env, how):
    issuer = _issuer(env)
    conn = env.conn(password=issuer.token())
    with closes_connection(530, "NOT_ALLOWED - New secret was refused by one of the backends"):
        _renew(conn, issuer.token(**how))


@case(node="tokens", oracle=False, reason="3.10 does not re-check permissions at update-secret")
def test_CON_31_rights_of_the_new_token_count_at_once(env):
    issuer = _issuer(env)
    ch = env.ch(password=issuer.token())
    queue = ch.declare(exclusive=True).queue
    tag = ch.consume(queue, no_ack=True)
    ch.publish("", queue, b"one")
    until(lambda: ch.wait("basic.deliver"), "the delivery")
    _renew(ch.conn, issuer.token("mq.write:*/nothing"))
    eq(ch.wait("basic.cancel").consumer_tag, tag)
    with closes_channel(403, "ACCESS_REFUSED - write access to exchange 'amq.default'"):
        ch.publish("", queue, b"two")  # the way to it is remembered, the right to it is not
        ch.sync()


@case(node="own", table={
    "no-keys": "auth_backends.1 = oauth2\n", "unknown-backend-alone": "auth_backends.1 = ldap\n",
    "keys-from-a-server": "auth_backends.1 = oauth2\nauth_oauth2.jwks_url = https://localhost/k\n",
    "missing-file": "auth_backends.1 = oauth2\nauth_oauth2.signing_keys.k = /nowhere/k.pem\n"},
      oracle=False, reason="3.10 starts and lets nobody in")
def test_ACC_11_settings_that_would_let_nobody_in_refuse_the_start(env, config):
    node = env.suite.nodes.make(env.name("refused"), config=config).start(wait=False)
    try:
        eq(node.process.wait(20) != 0, True)
        has(node.tail(4000), "auth_")
    finally:
        node.process = None


@case(node="own")
def test_CON_05_only_the_mechanisms_of_the_settings(env):
    node = env.suite.nodes.make("mechanisms", config="auth_mechanisms.1 = PLAIN\n").start()
    eq(env.wire(port=node.port).start().mechanisms, b"PLAIN")
    env.conn(port=node.port)
    wire = env.wire(port=node.port)
    wire.start()
    wire.start_ok(mechanism="AMQPLAIN",
                  response=encode_table({"LOGIN": "guest", "PASSWORD": "guest"})[4:])
    eq(wire.read_until_eof(), b"")
    node.stop()
