"""docs/operations.md and deploy/ are true: metric names, the proxy's configuration, the unit, the script."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from splade_engine.engine import SearchEngine
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_metric_is_documented_and_every_documented_metric_exists(client):
    client.post("/search", json={"query": "sea"})
    text = client.get("/metrics").text
    types = dict(re.findall(r"# TYPE (splade_engine_\w+) (\w+)", text))
    ours = {name for name in types if not name.endswith("_created")}
    named = set(re.findall(r"`(splade_engine_\w+|process_\w+)", TEXT))
    assert ours <= named
    assert named <= set(re.findall(r"# TYPE (\w+)", text))
    for name in named & ours:  # with these labels
        labels = re.search(rf"`{name}{{([\w,]+)}}`", TEXT)
        sample = re.search(rf"(?m)^{name}(?:_bucket|_count)?{{([^}}]*)}}", text)
        found = set(re.findall(r"(\w+)=", sample[1])) - {"le"} if sample else set()
        assert found == (set(labels[1].split(",")) if labels else set()), name


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_the_configuration(tmp_path):
    proxy, replicas = re.findall(r"```nginx\n(.*?)```", TEXT, re.DOTALL)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    head = f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}"
    for number, part in enumerate((proxy, replicas)):
        path = tmp_path / f"{number}.conf"
        path.write_text(f"{head} http {{ access_log off; {folders}\n{part}\n}}")
        ran = subprocess.run(["nginx", "-t", "-c", path], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path):
    unit = (REPOSITORY / "deploy" / "splade-engine@.service").read_text()
    path = tmp_path / "splade-engine@notes.service"
    path.write_text(unit.replace("/opt/splade-engine/bin/splade-engine", sys.executable))
    command = ["systemd-analyze", "verify", path]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_unit_and_the_container_start_with_options_that_exist():
    from typer.testing import CliRunner

    from splade_engine.cli import app

    known = CliRunner().invoke(app, ["serve", "--help"]).output
    for name in ("Containerfile", "splade-engine@.service"):
        text = (REPOSITORY / "deploy" / name).read_text()
        started = re.search(r"(?m)^(?:ENTRYPOINT|ExecStart).*$", text)
        for option in re.findall(r"--[a-z-]+", started[0]):
            assert option in known, (name, option)


@pytest.mark.slow
def test_the_script_finds_every_answer_right(tmp_path):
    words = ("moon", "sea", "ship", "storm", "harbour", "coast")
    texts = [{"_id": word, "title": word, "text": f"the tide and the {word}"} for word in words]
    SearchEngine.build(tmp_path / "ix", texts)
    script = REPOSITORY / "scripts" / "bench_server"
    command = [sys.executable, script, tmp_path / "ix", "--seconds", "0", "--changes", "5"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert " 0 wrong, 0 writes lost, 0 requests failed (0 5xx)" in ran.stdout
