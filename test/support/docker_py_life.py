"""The docker-py client, unmodified, through the life of images, containers, volumes and networks.

Called with the socket's path; the busybox image is loaded from standard input. Each step prints its name when it
has passed; a failure ends with a traceback and status 1.
"""
import io
import os
import sys
import tarfile
import time

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

IMAGE = "skein-hello:latest"
SLEEPER = ["sh", "-c", "trap 'exit 5' TERM; echo up; while true; do sleep 0.1; done"]

TIMEOUT_SECONDS = 30 * float(os.environ.get("SKEIN_TEST_PATIENCE", "1"))

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto", timeout=TIMEOUT_SECONDS)
steps = []


def step(function):
    steps.append(function)
    return function


def status_of(call, *arguments, **named):
    """The status a call is refused with."""
    try:
        call(*arguments, **named)
    except APIError as error:
        return error.status_code
    raise AssertionError("it went through")


def tar_of(name, text):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return data.getvalue()


def until(what, test, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = test()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("not within %d s: %s" % (seconds, what))


@step
def system():
    assert client.ping()
    assert client.version()["Os"] == "linux"
    assert client.info()["OSType"] == "linux"


@step
def images():
    loaded = client.images.load(sys.stdin.buffer.read())
    assert [IMAGE] == loaded[0].tags, loaded[0].tags
    assert client.images.get(IMAGE).id == loaded[0].id
    loaded[0].tag("again", "1")
    assert "again:1" in client.images.get(IMAGE).tags
    client.images.remove("again:1")
    try:
        client.images.get("again:1")
        raise AssertionError("it is still there")
    except ImageNotFound:
        pass


@step
def run_and_remove():
    out = client.containers.run(IMAGE, ["sh", "-c", "echo one; echo two >&2"], remove=True, stderr=True)
    assert sorted(out.splitlines()) == [b"one", b"two"], out
    try:
        client.containers.run(IMAGE, ["sh", "-c", "exit 3"], remove=True)
        raise AssertionError("it did not fail")
    except docker.errors.ContainerError as error:
        assert error.exit_status == 3
    assert client.containers.list(all=True) == []


@step
def life():
    container = client.containers.create(
        IMAGE,
        SLEEPER,
        name="life",
        hostname="nest",
        environment={"A": "1"},
        labels={"made": "by docker-py"},
        mem_limit="64m",
        ulimits=[Ulimit(name="nofile", soft=512, hard=1024)],
        log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        healthcheck=Healthcheck(test=["CMD", "true"], interval=1_000_000_000),
        cap_add=["NET_ADMIN"],
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        tmpfs={"/scratch": "size=1m"},
    )
    assert container.status == "created"
    host = container.attrs["HostConfig"]
    assert host["Memory"] == 64 * 1024 * 1024 and host["CapAdd"] == ["NET_ADMIN"], host
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    container.start()
    until("health", lambda: container.reload() or container.attrs["State"]["Health"]["Status"] == "healthy")
    assert container.exec_run("hostname").output == b"nest\n"
    assert status_of(container.remove) == 409
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("life2")
    assert client.containers.get("life2").id == container.id
    container.update(cpu_shares=512)
    container.stop(timeout=5)
    assert container.wait() == {"StatusCode": 5}
    container.restart()
    container.kill()
    assert container.wait()["StatusCode"] == 137
    container.remove()
    try:
        client.containers.get(container.id)
        raise AssertionError("it is still there")
    except NotFound:
        pass


@step
def streams():
    container = client.containers.run(IMAGE, SLEEPER, name="streams", detach=True)
    code, (out, err) = container.exec_run(["sh", "-c", "echo o; echo e >&2; exit 4"], demux=True)
    assert (code, out, err) == (4, b"o\n", b"e\n"), (code, out, err)
    socket = container.exec_run("cat", stdin=True, socket=True).output
    socket._sock.sendall(b"honk\n")
    assert socket.read(8 + 5)[8:] == b"honk\n"
    socket.close()
    until("the log", lambda: container.logs() == b"up\n")
    assert [line for line in container.logs(stream=True, follow=False)] == [b"up\n"]
    assert container.top()["Titles"]
    assert container.stats(stream=False)["memory_stats"]["usage"] > 0
    container.remove(force=True)


@step
def attached_input():
    api = client.api
    made = api.create_container(IMAGE, ["cat"], stdin_open=True, tty=False)
    socket = api.attach_socket(made["Id"], params={"stdin": 1, "stdout": 1, "stream": 1})
    api.start(made["Id"])
    socket._sock.sendall(b"honk\n")
    assert socket.read(8 + 5)[8:] == b"honk\n"
    socket.close()
    api.remove_container(made["Id"], force=True)


@step
def files():
    container = client.containers.run(IMAGE, SLEEPER, detach=True)
    assert container.put_archive("/tmp", tar_of("note.txt", b"honk"))
    parts, stat = container.get_archive("/tmp/note.txt")
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
        assert tar.extractfile("note.txt").read() == b"honk"
    assert stat["size"] == 4, stat
    assert {"Path": "/tmp/note.txt", "Kind": 1} in container.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
        assert "tmp/note.txt" in tar.getnames()
    made = container.commit("flying", "1", message="by test")
    out = client.containers.run(made.id, ["cat", "/tmp/note.txt"], remove=True)
    assert out == b"honk", out
    container.remove(force=True)
    client.images.remove("flying:1")


@step
def volumes():
    volume = client.volumes.create("kept", labels={"tier": "back"})
    mount = Mount("/v", "kept")
    client.containers.run(IMAGE, ["sh", "-c", "echo data > /v/file"], mounts=[mount], remove=True)
    assert client.containers.run(IMAGE, ["cat", "/v/file"], volumes=["kept:/v:ro"], remove=True) == b"data\n"
    assert [found.name for found in client.volumes.list(filters={"label": "tier=back"})] == ["kept"]
    volume.remove()
    assert status_of(client.volumes.get, "kept") == 404


@step
def networks():
    network = client.networks.create("pond", driver="bridge", labels={"w": "1"})
    goose = client.containers.run(
        IMAGE, ["sh", "-c", "echo honk > /index.html; exec httpd -f -p 80 -h /"],
        name="goose", network="pond", detach=True, ports={"80/tcp": None},
    )
    duck = client.containers.run(IMAGE, SLEEPER, name="duck", detach=True)
    network.connect(duck, aliases=["quack"])
    assert b"honk" in until("an answer", lambda: duck.exec_run(["wget", "-q", "-O", "-", "http://goose/"]).output)
    network.reload()
    assert sorted(found.name for found in network.containers) == ["duck", "goose"]
    goose.reload()
    assert int(goose.ports["80/tcp"][0]["HostPort"]) > 0, goose.ports
    network.disconnect(duck)
    for container in (goose, duck):
        container.remove(force=True)
    network.remove()
    assert client.networks.list(names=["pond"]) == []


@step
def lists_prune_and_events():
    since = int(time.time()) - 1
    for name, label in (("one", "a"), ("two", "b")):
        client.containers.create(IMAGE, ["true"], name=name, labels={"flock": label})
    names = [found.name for found in client.containers.list(all=True, filters={"label": "flock"})]
    assert names == ["two", "one"], names
    assert client.containers.list(filters={"status": "created", "name": "one"})[0].name == "one"
    pruned = client.containers.prune(filters={"label": ["flock=b"]})
    assert len(pruned["ContainersDeleted"]) == 1, pruned
    client.containers.get("one").remove()
    told = client.events(since=since, until=int(time.time()) + 1, decode=True, filters={"container": "one"})
    actions = [event["Action"] for event in told]
    assert actions == ["create", "destroy"], actions


for each in steps:
    each()
    print(each.__name__, flush=True)
