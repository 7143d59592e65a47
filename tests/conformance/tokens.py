"""An issuer of OAuth tokens for the suite: keys of its own, signed with the openssl tool."""

import base64
import hashlib
import hmac
import json
import subprocess
import threading
import time

_making = threading.Lock()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Keys in `folder`, made when they are first needed."""

    def __init__(self, folder):
        self.folder = folder / "issuer"
        with _making:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in ("good", "other"):
                self._make(name, "RSA", "rsa_keygen_bits:2048")
            self._make("curve", "EC", "ec_paramgen_curve:P-256")

    def _make(self, name, kind, option):
        if (self.folder / f"{name}.pem").exists():
            return
        self._openssl("genpkey", "-quiet", "-algorithm", kind, "-pkeyopt", option,
                      "-out", self.folder / f"{name}.key")
        self._openssl("pkey", "-in", self.folder / f"{name}.key", "-pubout",
                      "-out", self.folder / f"{name}.pem")

    def _openssl(self, *args, data=None):
        return subprocess.run(["openssl", *map(str, args)], input=data, check=True,
                              capture_output=True).stdout

    def config(self):
        """rabbitmq.conf of a node that trusts these keys, and its own users behind them."""
        return ("auth_backends.1 = rabbit_auth_backend_oauth2\nauth_backends.2 = internal\n"
                "auth_oauth2.resource_server_id = mq\nauth_oauth2.default_key = good\n"
                f"auth_oauth2.signing_keys.good = {self.folder}/good.pem\n"
                f"auth_oauth2.signing_keys.curve = {self.folder}/curve.pem\n")

    def token(self, scopes="mq.read:*/* mq.write:*/* mq.configure:*/*", key="good", alg="RS256",
              kid=None, lasts=None, header=None, **claims):
        """A signed token; `lasts` in seconds, also below 0; claims of None are left out."""
        head = {"alg": alg, "typ": "JWT", "kid": kid or "good", **(header or {})}
        body = {"aud": ["mq"], "sub": "tess", "scope": scopes,
                "exp": None if lasts is None else int(time.time() + lasts), **claims}
        text = ".".join(b64(json.dumps({k: v for k, v in part.items() if v is not None}).encode())
                        for part in (head, body))
        if alg == "none":
            return text + "."
        if alg == "HS256":
            secret = (self.folder / f"{key}.pem").read_bytes()
            return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())
        signature = self._openssl("dgst", "-sha256", "-sign", self.folder / f"{key}.key",
                                  data=text.encode())
        return text + "." + b64(self._pair(signature) if alg == "ES256" else signature)

    @staticmethod
    def _pair(der):
        """r and s of an ECDSA signature side by side."""
        out, at = b"", 2
        for _ in range(2):
            size = der[at + 1]
            out += der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + size
        return out
