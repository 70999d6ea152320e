"""A cluster under TLS: a training through it, certificates renewed without a restart, tokens, and one clear error for each way of not getting in."""

import base64
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

from cluster import SPEC, Cluster, free_port, run, until


class TlsCluster(Cluster):
    """Certificates and the admin's token of its own; the command line is the admin's unless told otherwise."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.certs = self.home / "certs"
        self.certificate("init")
        self.certificate("coordinator", "--host", "127.0.0.1")
        self.certificate("worker", "w1", "--host", "127.0.0.1")
        self.certificate("user", "prometheus", "--role", "viewer")

    def certificate(self, *arguments):
        subprocess.run([self.program("client/strata"), "admin", "certs", *arguments, "--dir", str(self.certs)], check=True, capture_output=True)

    def tls(self, name, certs=None):
        certs = certs or self.certs
        return ["--tls-ca", str(self.certs / "ca.crt"), "--tls-cert", str(certs / f"{name}.crt"), "--tls-key", str(certs / f"{name}.key")]

    @property
    def admin_token(self):
        return (self.home / "coordinator" / "admin-token").read_text().strip()

    def start_coordinator(self, wait=True):
        folder = self.home / "coordinator"
        folder.mkdir(exist_ok=True)
        self.coordinator = self.start("coordinator", [
            self.program("server/strata-coordinator"), "--data-dir", str(folder), "--listen", self.address, "--metrics-listen",
            f"127.0.0.1:{self.metrics_port}", "--lease-seconds", str(self.lease_seconds), *self.tls("coordinator")])
        if wait:
            until(lambda: (folder / "admin-token").exists() and self.answers(), 20, "the coordinator to answer")

    def start_agent(self, name, extra=(), environment=None):
        super().start_agent(name, [*self.tls("worker-" + name), *extra], environment)

    def strata(self, *arguments, check=True, timeout=120, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STRATA_")}
        environment |= {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config"), "STRATA_HOME": str(self.home / "none"), "NO_COLOR": "1",
                        "STRATA_ADDRESS": self.address, "STRATA_TLS_CA": str(self.certs / "ca.crt"), "STRATA_TOKEN": self.admin_token} | variables
        result = subprocess.run([self.program("client/strata"), *arguments], text=True, capture_output=True, timeout=timeout,
                                env={name: value for name, value in environment.items() if value is not None})
        assert not check or result.returncode == 0, f"strata {' '.join(arguments)}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result


def refused(result, status, sentence):
    text = result.stderr
    assert result.returncode == status, (result.returncode, text)
    assert sentence in text, text
    assert len(text.strip().splitlines()) == 1, f"one sentence is wanted:\n{text}"


def served_until(cluster, port, alpn):
    """When the certificate that is served there ends."""
    context = ssl.create_default_context(cafile=str(cluster.certs / "ca.crt"))
    context.set_alpn_protocols(alpn)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        return secure.getpeercert()["notAfter"]


def get(cluster, port, path="/metrics", token=None, name=None, certs=None):
    """Status of a GET over HTTPS, with a token as the password, or with a certificate; 0: the handshake failed."""
    context = ssl.create_default_context(cafile=str(cluster.certs / "ca.crt"))
    if name:
        context.load_cert_chain(f"{certs or cluster.certs}/{name}.crt", f"{certs or cluster.certs}/{name}.key")
    request = urllib.request.Request(f"https://127.0.0.1:{port}{path}")
    if token:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"any:{token}".encode()).decode())
    try:
        return urllib.request.urlopen(request, timeout=5, context=context).status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ssl.SSLError):
        return 0


def serve_by(handler):
    """A listening port whose connections are handed to `handler`, each in a thread of its own: a client may open a second
    one, and leave it alone, before it comes back to look at the certificate."""
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(connection):
        try:
            handler(connection)
        except (OSError, ssl.SSLError):
            connection.close()

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener


def check_roles(cluster):
    viewer = cluster.strata("admin", "token", "create", "vera", "--role", "viewer", "--expires", "1d").stdout.strip()
    assert viewer.startswith("strata_") and len(viewer) > 60, viewer
    refused(cluster.strata("admin", "token", "create", "vera", "--role", "viewer", check=False), 1, "Revoke it first")
    token_file = cluster.home / "vera.token"
    token_file.write_text(viewer + "\n")
    as_vera = {"STRATA_TOKEN": None}
    assert "vera, viewer, known by token" in cluster.strata("admin", "whoami", "--token-file", str(token_file), **as_vera).stdout
    spec = cluster.home / "spec.yaml"
    spec.write_text(SPEC.format(name="denied", updates=10, schemes="b2t", seeds="1"))
    refused(cluster.strata("submit", str(spec), "--token-file", str(token_file), check=False, **as_vera), 1,
            "vera is a viewer, and CreateExperiment is for a submitter or above.")
    config = cluster.home / "config" / "strata"
    config.mkdir(parents=True)
    (config / "token").write_text(viewer)
    (config / "token").chmod(0o644)
    refused(cluster.strata("list", check=False, **as_vera), 2, "chmod 600")
    (config / "token").chmod(0o600)
    cluster.strata("list", **as_vera)
    cluster.strata("admin", "token", "revoke", "vera")
    refused(cluster.strata("list", check=False, **as_vera), 1, "The token vera was revoked at")
    (config / "token").unlink()
    refused(cluster.strata("list", check=False, **as_vera), 1, "shows no token, and ListExperiments is for a viewer or above")
    refused(cluster.strata("list", check=False, STRATA_TOKEN="strata_" + "0" * 64), 1, "does not know the token")
    assert "REVOKED" in cluster.strata("admin", "token", "list").stdout.upper()
    return viewer


def check_certificates(cluster):
    """Wrong, too early, too late, of another authority, for another host, and none at all."""
    other = cluster.home / "other"
    strata = cluster.program("client/strata")
    subprocess.run([strata, "admin", "certs", "init", "--dir", str(other)], check=True, capture_output=True)
    refused(cluster.strata("list", "--tls-ca", str(other / "ca.crt"), check=False), 1, "which is not the one in")
    refused(cluster.strata("list", check=False, STRATA_TLS_CA=None, STRATA_TOKEN=None), 1, "speaks TLS, and this side does not")
    refused(cluster.strata("list", "--address", cluster.address.replace("127.0.0.1", "localhost"), check=False), 1, "is for 127.0.0.1. Name it by one of these")
    cluster.certificate("user", "old", "--from", "2020-01-01", "--valid", "1d")
    cluster.certificate("user", "early", "--from", "2036-01-01", "--valid", "1d")
    for name, sentence in (("old", "has expired: it is valid from 2020-01-01 00:00:00Z to 2020-01-02 00:00:00Z, and the clock here says 20"),
                           ("early", "is not valid yet: it is valid from 2036-01-01")):
        refused(cluster.strata("list", *cluster.tls("user-" + name), check=False), 2, sentence)
        # The same certificates at the other end: what a client says to a coordinator whose time is over.
        expired = cluster.home / f"served-{name}"
        expired.mkdir()
        for end in ("crt", "key"):
            (expired / f"ca.{end}").write_bytes((cluster.certs / f"ca.{end}").read_bytes())
        day = "2020-01-01" if name == "old" else "2036-01-01"
        subprocess.run([strata, "admin", "certs", "coordinator", "--dir", str(expired), "--host", "127.0.0.1", "--from", day, "--valid", "1d"],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(expired / "coordinator.crt", expired / "coordinator.key")
        context.set_alpn_protocols(["h2"])
        with serve_by(lambda connection: context.wrap_socket(connection, server_side=True)) as listener:
            refused(cluster.strata("list", "--address", f"127.0.0.1:{listener.getsockname()[1]}", check=False), 1, sentence)
        result = subprocess.run([cluster.program("server/strata-coordinator"), "--data-dir", str(cluster.home / "second"), "--listen", "127.0.0.1:0",
                                 "--metrics-listen", "none", *cluster.tls("coordinator", expired)], capture_output=True, text=True, timeout=20)
        refused(result, 1, sentence)
    with serve_by(lambda connection: (connection.recv(4096), connection.sendall(b"\0\0\0\4\0\0\0\0\0"))) as listener:  # as gRPC does in the clear
        refused(cluster.strata("list", "--address", f"127.0.0.1:{listener.getsockname()[1]}", check=False), 1, "does not speak TLS")
    result = subprocess.run([cluster.program("server/strata-coordinator"), "--data-dir", str(cluster.home / "second"), "--listen", "0.0.0.0:0"],
                            capture_output=True, text=True, timeout=20)
    refused(result, 1, "in the clear and without asking who they are")
    result = subprocess.run([cluster.program("worker/strata-agent"), "--coordinator", cluster.address, "--state-dir", str(cluster.home / "w2"), "--name", "w2",
                             "--slots", "1", *cluster.tls("worker-w1")], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1 and "w1 may not speak for worker w2" in result.stderr, result.stderr


def check_pages(cluster, revoked):
    agent = cluster.agent_metrics["w1"]
    assert get(cluster, cluster.metrics_port) == 401
    assert get(cluster, cluster.metrics_port, token=revoked) == 401
    assert get(cluster, cluster.metrics_port, token=cluster.admin_token) == 200
    assert get(cluster, cluster.metrics_port, name="user-prometheus") == 200
    assert get(cluster, cluster.metrics_port, name="worker-w1") == 403
    assert get(cluster, cluster.metrics_port, path="/sd/workers", name="user-prometheus") == 200
    assert get(cluster, agent, name="user-prometheus") == 200
    assert get(cluster, agent) == 401
    assert get(cluster, agent, token=cluster.admin_token) == 401, "the agent knows no tokens"
    strangers = cluster.home / "strangers"
    strata = cluster.program("client/strata")
    for arguments in (["init"], ["user", "prometheus", "--role", "viewer"]):
        subprocess.run([strata, "admin", "certs", *arguments, "--dir", str(strangers)], check=True, capture_output=True)
    for port in (cluster.metrics_port, agent):
        assert get(cluster, port, name="user-prometheus", certs=strangers) == 0
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"This port speaks TLS." in plain.recv(4096)


def check_prometheus(cluster):
    """A real Prometheus reads coordinator and agent, which it finds by the coordinator, with one certificate."""
    if shutil.which("prometheus") is None:
        return print("prometheus is not installed: not tried")
    tls = {"ca_file": str(cluster.certs / "ca.crt"), "cert_file": str(cluster.certs / "user-prometheus.crt"),
           "key_file": str(cluster.certs / "user-prometheus.key")}
    coordinator = f"127.0.0.1:{cluster.metrics_port}"
    config = cluster.home / "prometheus.json"  # JSON is YAML
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [
        {"job_name": "coordinator", "scheme": "https", "tls_config": tls, "static_configs": [{"targets": [coordinator]}]},
        {"job_name": "workers", "scheme": "https", "tls_config": tls,
         "http_sd_configs": [{"url": f"https://{coordinator}/sd/workers", "tls_config": tls, "refresh_interval": "1s"}]}]}))
    port = free_port()
    cluster.start("prometheus", ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={cluster.home}/tsdb",
                                 f"--web.listen-address=127.0.0.1:{port}"])

    def healthy():
        try:
            targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5))["data"]["activeTargets"]
        except OSError:
            return False
        return {target["labels"]["job"] for target in targets if target["health"] == "up"} == {"coordinator", "workers"}

    until(healthy, 40, "Prometheus to read coordinator and agent")


def check_rotation(cluster):
    """All ports serve the renewed certificate within seconds; the agent's session goes on."""
    ports = ((cluster.port, ["h2"]), (cluster.metrics_port, ["http/1.1"]), (cluster.agent_metrics["w1"], ["http/1.1"]))
    before = [served_until(cluster, port, alpn) for port, alpn in ports]
    time.sleep(1)  # what the certificates say is told apart by whole seconds
    cluster.certificate("coordinator", "--renew", "--valid", "200d")
    cluster.certificate("worker", "w1", "--renew", "--valid", "200d")
    for (port, alpn), old in zip(ports, before):
        until(lambda: served_until(cluster, port, alpn) != old, 10, f"the renewed certificate at port {port}")
    cluster.strata("workers")
    assert " READY " in cluster.strata("workers").stdout


def check_secrets(cluster, *secrets):
    for path in cluster.home.rglob("*"):
        if path.is_file() and path.name not in ("admin-token", "vera.token"):
            content = path.read_bytes()
            for secret in secrets:
                assert secret.encode() not in content, f"{path} holds a secret"
    keys = [*cluster.certs.glob("*.key"), cluster.home / "coordinator" / "admin-token"]
    assert len(keys) > 4 and all(path.stat().st_mode & 0o777 == 0o600 for path in keys), keys
    for process in [cluster.coordinator, *cluster.agents.values()]:
        for part in ("cmdline", "environ"):
            content = pathlib.Path(f"/proc/{process.pid}/{part}").read_bytes()
            assert not any(secret.encode() in content for secret in secrets)


def main():
    with TlsCluster.from_arguments() as cluster:
        cluster.add_dataset()
        experiment = cluster.submit(SPEC.format(name="tls", updates=60, schemes="b2t", seeds="1"))
        revoked = check_roles(cluster)
        check_certificates(cluster)
        check_pages(cluster, revoked)
        check_prometheus(cluster)
        check_rotation(cluster)
        assert cluster.wait(experiment) == 0, cluster.trials(experiment)
        check_secrets(cluster, cluster.admin_token, revoked)
        log = json.loads(cluster.strata("admin", "audit", "--output", "json").stdout)["entries"]
        told = [(entry["caller"], entry["method"].split("/")[1], entry["target"]) for entry in log]
        for wanted in (("root", "CreateExperiment", f"experiments/{experiment}"), ("root", "RevokeToken", "tokens/vera"),
                       ("root", "CreateDataset", "datasets/tiny"), ("w1", "RegisterWorker", "workers/w1")):
            assert wanted in told, (wanted, told)
        filtered = json.loads(cluster.strata("admin", "audit", "--target", experiment, "--output", "json").stdout)["entries"]
        assert [entry["method"] for entry in filtered] == ["ExperimentService/CreateExperiment"], filtered


run(main)
