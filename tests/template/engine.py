"""What the tests of the containers start for real: a Docker engine, a registry of images, a machine that SSH reaches.

The machine's own engine is taken where there is one. Elsewhere Debian's is started in a folder, and since it may be
unable to fetch an image, stand-ins are made for those that the project names: Debian with its Python, and Debian's
PostgreSQL behind the variables of the official image.
"""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import free_port, wait_for

PROGRAMS = ("dockerd", "docker-compose", "debootstrap")  # of Debian's docker.io, docker-compose and debootstrap
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PATIENCE = 60.0  # seconds until the engine answers

# Debian's client knows neither `compose` nor `up --wait`, and its builds see the network of this machine
CLIENT = """#!/bin/sh
case $1 in
  compose)
    shift
    for word; do shift; [ "$word" = --wait ] || set -- "$@" "$word"; done
    exec docker-compose "$@" ;;
  build) shift; exec /usr/bin/docker build --network host "$@" ;;
  *) exec /usr/bin/docker "$@" ;;
esac
"""
# ssh looks into the home folder that the system knows, not into HOME
SSH = """#!/bin/sh
exec /usr/bin/ssh -F none -i "$HOME/.ssh/id_ed25519" -o UserKnownHostsFile="$HOME/.ssh/known_hosts" "$@"
"""
POSTGRES = """FROM python:3.12-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null \\
 && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ && chown postgres /var/run/postgresql \\
 && install --directory --owner postgres /var/lib/postgresql/data
COPY start /usr/local/bin/start
USER postgres
ENV PGDATA=/var/lib/postgresql/data
CMD ["sh", "/usr/local/bin/start"]
"""
START_POSTGRES = """set -e
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  echo "$POSTGRES_PASSWORD" > /tmp/password
  initdb --username "$POSTGRES_USER" --encoding UTF8 --auth scram-sha-256 --pwfile /tmp/password
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE $POSTGRES_USER" | postgres --single postgres
fi
exec postgres -c listen_addresses='*'
"""


@dataclass
class Engine:
    """A Docker engine: the variables with which `docker` finds it."""

    environment: dict[str, str]

    def __call__(self, *arguments: str, cwd: Path | None = None) -> str:
        """What `docker` prints, or an AssertionError with what it says."""
        program = shutil.which("docker", path=self.environment["PATH"])
        assert program
        done = subprocess.run([program, *arguments], cwd=cwd, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()


def own_engine() -> Engine | None:
    """The machine's own, if it answers and has Compose."""
    engine = Engine(dict(os.environ))
    try:
        engine("compose", "version")
        engine("version")
    except AssertionError:
        return None
    return engine


def missing() -> str:
    """Why no engine can be started here; nothing if one can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs a Docker engine, or root on Debian to start one"
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    return f"needs a Docker engine, or Debian's {' '.join(absent)}" if absent else ""


@contextmanager
def private_engine(place: Path) -> Iterator[Engine]:
    """Debian's engine with the stand-ins; what it made is kept in `place` for the next time."""
    sockets = Path(tempfile.mkdtemp(prefix="engine"))  # the path of a socket must be short
    log = place / "dockerd.log"
    place.mkdir(parents=True, exist_ok=True)
    address = f"unix://{sockets / 'docker'}"
    engine = Engine(os.environ | {"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0"})
    put_first(engine, sockets / "bin", "docker", CLIENT)
    folders = ["--data-root", str(place / "data"), "--exec-root", str(sockets), "--pidfile", str(sockets / "pid")]
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(["dockerd", "--host", address, *folders], stdout=said, stderr=said)
    try:
        wait_for_engine(engine, process, log)
        stand_in_for_python(engine, place / "debian")
        stand_in_for_postgres(engine, place / "postgres")
        yield engine
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)
        shutil.rmtree(sockets, ignore_errors=True)


def put_first(engine: Engine, folder: Path, name: str, script: str) -> None:
    """A program that stands before the one of the same name."""
    folder.mkdir()
    (folder / name).write_text(script, encoding="utf-8")
    (folder / name).chmod(0o755)
    engine.environment["PATH"] = f"{folder}{os.pathsep}{engine.environment['PATH']}"


def wait_for_engine(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            engine("version")
            return
        except AssertionError:
            assert process.poll() is None and time.monotonic() < ends, log.read_text("utf-8")[-2000:]
            time.sleep(0.2)


def stand_in_for_python(engine: Engine, root: Path) -> None:
    if engine("images", "--quiet", "python:3.12-slim"):
        return
    shutil.rmtree(root, ignore_errors=True)
    packages = "--include=python3,python3-venv,python3-pip,ca-certificates"
    command = ["debootstrap", "--variant=minbase", packages, "bookworm", str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    (root / "usr/bin/python").unlink(missing_ok=True)
    (root / "usr/bin/python").symlink_to("python3")
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "--directory", str(root), "--create", "--file", str(archive), "."], check=True)
    variables = f"ENV PIP_CERT={CERTIFICATES} SSL_CERT_FILE={CERTIFICATES}"
    engine("import", "--change", variables, str(archive), "python:3.12-slim")
    archive.unlink()
    shutil.rmtree(root)


def stand_in_for_postgres(engine: Engine, place: Path) -> None:
    if engine("images", "--quiet", "postgres:17"):
        return
    place.mkdir(exist_ok=True)
    (place / "Dockerfile").write_text(POSTGRES, encoding="utf-8")
    (place / "start").write_text(START_POSTGRES, encoding="utf-8")
    engine("build", "--tag", "postgres:17", str(place))


@contextmanager
def image_registry(place: Path) -> Iterator[str]:
    """The address of a registry of images (Debian's docker-registry)."""
    port = free_port()
    place.mkdir()
    config = place / "config.yml"
    storage = f"storage: {{filesystem: {{rootdirectory: {place}}}}}"
    config.write_text(f"version: 0.1\n{storage}\nhttp: {{addr: 127.0.0.1:{port}}}\n", encoding="utf-8")
    with (place / "log").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=said, stderr=said)
    try:
        wait_for(port, "/")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


@dataclass
class Machine:
    """A machine that SSH reaches: where, the private key that opens it, the line by which it is known."""

    address: str
    key: str
    known_hosts: str


@contextmanager
def machine_by_ssh(place: Path, engine: Engine) -> Iterator[Machine]:
    """An sshd on 127.0.0.1 whose sessions find the engine, and an ssh that keeps to HOME."""
    port = free_port()
    place.mkdir(mode=0o700)
    put_first(engine, place / "bin", "ssh", SSH)
    with contextlib.suppress(PermissionError):  # only root's sshd needs it
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(place / name)]
        subprocess.run(command, check=True)
    shutil.copy(place / "user.pub", place / "authorized")
    config = place / "config"
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {place / 'host'}",
        f"AuthorizedKeysFile {place / 'authorized'}",
        f"PidFile {place / 'pid'}",
        "StrictModes no",
        "PasswordAuthentication no",
        f"SetEnv PATH={engine.environment['PATH']}",
    ]
    if there := engine.environment.get("DOCKER_HOST"):
        lines[-1] += f" DOCKER_HOST={there}"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    server = shutil.which("sshd") or "/usr/sbin/sshd"
    process = subprocess.Popen([server, "-D", "-f", str(config)])
    try:
        host = (place / "host.pub").read_text("utf-8").rsplit(" ", 1)[0]
        known = f"[127.0.0.1]:{port} {host}\n"
        yield Machine(f"ssh://{getpass.getuser()}@127.0.0.1:{port}", (place / "user").read_text("utf-8"), known)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
