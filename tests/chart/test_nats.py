"""The rendered NATS configuration, run by real servers with TLS and a password."""

import asyncio
import contextlib
import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request

import nats
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from helmchart import ROOT, load, named, render

VALUES = {"nats": {"replicas": 3, "existingSecret": "user",
                   "tls": {"existingSecret": "servers", "clientSecret": "clients"}}}


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """ca.crt, tls.crt and tls.key as a certificate manager makes them: for servers and clients."""
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, signer, *extensions):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in ("ca", "nats"))
    ca = certificate(ca_name, ca_key, ca_name, ca_key, x509.BasicConstraints(ca=True, path_length=None))
    purpose = x509.ExtendedKeyUsageOID
    usage = x509.ExtendedKeyUsage([purpose.SERVER_AUTH, purpose.CLIENT_AUTH])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = certificate(name, key, ca_name, ca_key, usage, alternative)
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(ca.public_bytes(pem))
    (folder / "tls.crt").write_bytes(leaf.public_bytes(pem))
    (folder / "tls.key").write_bytes(key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder


@contextlib.contextmanager
def cluster(secret, folder):
    """Three servers from the ConfigMap; only names and ports differ from those of pods."""
    objects = render(load(), VALUES)
    template = named(objects, "ConfigMap", "-nats")["data"]["nats.conf"]
    container = named(objects, "StatefulSet", "-nats")["spec"]["template"]["spec"]["containers"][0]
    clients, monitors, routes = free_ports(3), free_ports(3), free_ports(3)
    children = []
    try:
        for i in range(3):
            text = template.replace("/etc/nats-tls", str(secret))
            text = text.replace("/tmp/nats.pid", f"{folder}/{i}.pid")
            text = text.replace("port: 4222", f"listen: 127.0.0.1:{clients[i]}")
            text = text.replace("http_port: 8222", f"http: 127.0.0.1:{monitors[i]}")
            text = text.replace("port: 6222", f"listen: 127.0.0.1:{routes[i]}")
            for j in range(3):
                pod = f"rel-fanlight-nats-{j}.rel-fanlight-nats-nodes"
                text = text.replace(f"{pod}:6222", f"127.0.0.1:{routes[j]}")
            assert "fanlight-nats-nodes" not in text and ":6222" not in text
            config = folder / f"{i}.conf"
            config.write_text(text)
            pod = f"rel-fanlight-nats-{i}"
            arguments = [a.replace("/etc/nats/nats.conf", str(config)).replace("$(POD_NAME)", pod)
                         for a in container["args"]]
            with open(folder / f"{i}.log", "wb") as log:
                children.append(subprocess.Popen(
                    [ROOT / ".venv/bin/nats-server", *arguments], stdout=log, stderr=log,
                    env={**os.environ, "POD_NAME": pod, "NATS_USER": "fanlight", "NATS_PASSWORD": "secret"}))
        yield clients, monitors
    finally:
        for child in children:
            child.kill()
            child.wait()


def monitor(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
        return json.load(answer)


def test_three_servers_with_tls_find_each_other(secret, tmp_path):
    with cluster(secret, tmp_path) as (clients, monitors):
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                if all(monitor(m, "routez")["num_routes"] >= 2 for m in monitors):
                    break
            logs = "".join(p.read_text()[-800:] for p in tmp_path.glob("*.log"))
            assert time.monotonic() < end, f"no cluster: {logs}"
            time.sleep(0.1)

        trusted = ssl.create_default_context(cafile=secret / "ca.crt")
        known = ssl.create_default_context(cafile=secret / "ca.crt")
        known.load_cert_chain(secret / "tls.crt", secret / "tls.key")

        def connect(port, **options):
            return nats.connect(f"tls://127.0.0.1:{port}", allow_reconnect=False, **options)

        async def talk():
            one = await connect(clients[0], tls=known, user="fanlight", password="secret")
            two = await connect(clients[2], tls=known, user="fanlight", password="secret")
            heard = await two.subscribe("fanlight.gate.main.ts")
            await two.flush()
            for _ in range(100):
                await one.publish("fanlight.gate.main.ts", b"picture")
                with contextlib.suppress(asyncio.TimeoutError, nats.errors.TimeoutError):
                    message = await heard.next_msg(timeout=0.1)
                    break
            # Others are told by name: a certificate is for names, not for addresses of pods.
            names = {url.hostname for url in (entry.uri for entry in one._server_pool)}
            await one.close()
            await two.close()
            for options in ({"tls": known, "user": "fanlight", "password": "wrong"},
                            {"tls": trusted, "user": "fanlight", "password": "secret"}):
                with pytest.raises(Exception):
                    await connect(clients[0], connect_timeout=3, max_reconnect_attempts=0, **options)
            return message.data, names

        data, names = asyncio.run(asyncio.wait_for(talk(), 40))
        assert data == b"picture"
        advertised = {f"rel-fanlight-nats-{i}.rel-fanlight-nats-nodes" for i in range(3)}
        assert names - {"127.0.0.1"} <= advertised and names & advertised
