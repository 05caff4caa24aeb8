"""Clusters of several nodes, as docs/clusters.md says how: each a process at a loopback address."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import command
from processes import kill
from running import PLUGINS
from small_suite import SMALL

from harness.store.store import Store

QUICK = {"RAY_health_check_period_ms": "500", "RAY_health_check_initial_delay_ms": "500"}


class Cluster:
    """Node processes of one CPU each, joined by a token."""

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        self.environment = (
            os.environ
            | QUICK
            | {
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN_PATH": str(token),
                "RAY_USAGE_STATS_ENABLED": "0",
            }
        )
        with socket.socket() as free:
            free.bind(("127.0.0.2", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.2:{self.port}"
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.start("127.0.0.2", "--head", f"--port={self.port}", "--include-dashboard=false")

    def join(self, host: str) -> None:
        self.start(host, f"--address={self.address}")

    def start(self, host: str, *words: str) -> None:
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
        self._nodes[host] = subprocess.Popen(
            [*start, f"--node-ip-address={host}", "--disable-usage-stats", *words],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def up(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.2", self.port)) == 0

    def kill(self, host: str) -> None:
        kill(self._nodes[host].pid)
        self._nodes.pop(host).wait()

    def end(self) -> None:
        for host in list(self._nodes)[::-1]:
            self.kill(host)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        wait_for(cluster.up)
        yield cluster
    finally:
        cluster.end()


def wait_for(happens: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_grid_outlives_its_nodes_and_waits_for_no_worker_without_a_place(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Three workers, one place; then two, and one again: a node joins, and is lost."""
    suite, said = tmp_path / "s.yaml", tmp_path / "said"
    go = tmp_path / "go"
    methods = f"methods:\n  - {{name: '{PLUGINS}:Paced', config: {{path: {go}}}}}\n"
    grid = SMALL.partition("methods:")[0].replace("seeds: [1]", f"seeds: {list(range(12))}")
    suite.write_text(grid + methods)
    with said.open("wb") as out:
        run = subprocess.Popen(
            command(
                *("run", suite, "--results", tmp_path / "r"),
                *("--address", cluster.address, "--workers", "3"),
            ),
            env=cluster.environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "1 of 3 workers have a place: " in said.read_text())
        cluster.join("127.0.0.3")
        wait_for(lambda: "2 of 3 workers have a place: " in said.read_text())
        cluster.kill("127.0.0.3")
        go.touch()
        assert run.wait(120) == 0, said.read_text()
    finally:
        kill(run.pid)
    text = said.read_text()
    assert text.count("1 of 3 workers") <= 2 and text.count("2 of 3 workers") == 1
    assert "(raylet)" not in text and "Traceback" not in text
    kept = Store(tmp_path / "r").all()
    assert len(kept.records) == 48 and not kept.failures


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "the cluster asks for a token: set RAY_AUTH_MODE=token"),
        ({"threads": "2"}, "--threads 2: a worker takes so many CPUs of one node"),
    ],
)
def test_what_a_cluster_refuses_is_one_line(
    given: dict[str, str], said: str, cluster: Cluster, tmp_path: Path
) -> None:
    suite = tmp_path / "s.yaml"
    suite.write_text(SMALL)
    words = ["--threads", given["threads"]] if "threads" in given else []
    before = time.monotonic()
    run = subprocess.run(
        command("run", suite, "--results", tmp_path / "r", "--address", cluster.address) + words,
        env=cluster.environment | given,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and time.monotonic() - before < 90  # 30 and a start under load
    (line,) = run.stderr.splitlines()
    assert said in line


def test_a_head_that_dies_ends_the_run_in_one_line(tmp_path: Path) -> None:
    own = Cluster(tmp_path)
    suite = tmp_path / "s.yaml"
    suite.write_text(
        SMALL.partition("methods:")[0] + f"methods: ['{PLUGINS}:Paced']\n".replace("[1]", "[1, 2]")
    )
    try:
        wait_for(own.up)
        run = subprocess.Popen(
            command("run", suite, "--results", tmp_path / "r", "--address", own.address),
            env=own.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_for(lambda: bool(list((tmp_path / "r" / "cells").glob("*.json"))))
        own.kill("127.0.0.2")
        _, errors = run.communicate(timeout=60)
    finally:
        own.end()
    assert run.returncode == 1
    (line,) = errors.decode().splitlines()
    assert "the head of the Ray cluster" in line and "run the same command to go on" in line
    assert not Store(tmp_path / "r").all().corrupt


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path: Path) -> None:
    suite = tmp_path / "s.yaml"
    suite.write_text(SMALL)
    run = subprocess.run(
        command("run", suite, "--results", tmp_path / "r", "--address", "127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "127.0.0.1:9: nothing listens there" in line and "ray start --head" in line
