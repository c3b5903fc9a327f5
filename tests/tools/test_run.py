"""`make run` as its users meet it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tools.project import PROJECT
from tools.stack import PORTS, free_ports


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ports = {PORTS[name][0]: str(port) for name, port in free_ports().items()}
    return {**os.environ, **ports, "DEVSTACK_DIRECTORY": str(tmp_path / "run"), "BCRYPT_ROUNDS": "4"}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator:
    started = []

    def run() -> tuple[subprocess.Popen[str], str]:
        """The running process and what it printed until it was ready."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.run"], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        printed = ""
        assert process.stdout
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, f"ended before it was ready: {printed}"
            printed += line
        return process, printed

    yield run
    for process in started:
        process.send_signal(signal.SIGINT)  # a kill would leave its Postgres behind
        process.communicate(timeout=20)


def stop(process: subprocess.Popen[str]) -> None:
    """Ctrl-C; afterwards none of its processes may be left."""
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 6
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert [child for child in children if child.is_running() and child.status() != "zombie"] == []


def test_it_runs_stops_and_keeps_its_data(start, environment: dict[str, str]):
    process, printed = start()
    curls = re.findall(r"^  curl .*?(?=^  curl|^`make)", printed, re.M | re.S)
    assert len(curls) == 3
    answers = [subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout for curl in curls]
    assert '"success":true' in answers[0] and '"customerId"' in answers[1] and '"role":"Admin"' in answers[2]
    stop(process)

    begun = time.monotonic()
    process, _ = start()
    assert time.monotonic() - begun < 15  # 5 seconds on a quiet machine; this one runs tests beside
    again = subprocess.run(curls[1], shell=True, capture_output=True, text=True, check=True).stdout
    assert '"email_taken"' in again
    assert httpx.get(f"http://127.0.0.1:{environment['PORT']}/api/ready").json()["status"] == "ready"
    stop(process)


def test_it_runs_in_the_currency_that_it_is_told(start, environment: dict[str, str]):
    environment["PAYMENT_CURRENCY"] = "inr"
    process, printed = start()
    site = f"http://127.0.0.1:{environment['PORT']}"
    curl = re.findall(r"^  curl .*?(?=^  curl)", printed, re.M | re.S)[0]
    booking = json.loads(subprocess.run(curl, shell=True, capture_output=True, text=True, check=True).stdout)["booking"]
    intent = httpx.post(f"{site}/api/payments/create-payment-intent", json={"bookingId": booking["id"]})
    assert intent.json()["currency"] == "inr"
    assert httpx.get(f"{site}/api/ready").json()["warnings"] == {}
    assert '"currency": "inr"' in httpx.get(f"{site}/config.js").text
    stop(process)
    command = [sys.executable, "-m", "tools.run"]
    changed = {**environment, "PAYMENT_CURRENCY": "usd"}
    ran = subprocess.run(command, cwd=PROJECT, env=changed, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (
        1,
        "PAYMENT_CURRENCY=usd: The database has 3 bookings in another currency than USD. `make reset` forgets them.\n",
    )


def test_the_site_that_frontend_dist_names_is_served_for_this_machine(
    start, environment: dict[str, str], tmp_path: Path
):
    dist = tmp_path / "dist"
    dist.mkdir()
    module = '<script type="module" src="/assets/index-BfX3kd92.js"></script>'
    (dist / "index.html").write_text(f"<head>{module}<script src='https://js.stripe.com/v3/'></script></head>")
    environment["FRONTEND_DIST"] = str(dist)
    _, printed = start()
    port = environment["PORT"]
    site = f"http://localhost:{port}"
    assert f"The site         {site}\n" in printed
    page = {"Accept": "text/html"}
    moved = httpx.get(f"http://127.0.0.1:{port}/verify-email?token=a", headers=page)
    assert (moved.status_code, moved.headers["Location"]) == (302, f"{site}/verify-email?token=a")
    shown = httpx.get(f"{site}/packages/1", headers=page)
    stand_in = f"http://127.0.0.1:{environment['DEVSTACK_STRIPE_PORT']}"
    assert shown.text == f'<head><script src="{stand_in}/js.stripe.com/v3/"></script>\n{module}</head>'
    assert "confirmCardPayment" in httpx.get(f"{stand_in}/js.stripe.com/v3/").text
    policy = dict(rule.split(" ", 1) for rule in shown.headers["Content-Security-Policy"].split("; "))
    assert stand_in in policy["script-src"] and stand_in in policy["connect-src"]
    assert policy["connect-src"].startswith(f"{site} ")
    pictures = {row["image"] for row in httpx.get(f"{site}/rest/v1/packages?select=image").json()}
    assert pictures and all(picture.startswith(f"{site}/pictures/") for picture in pictures)
    for picture in pictures:
        assert httpx.get(picture).headers["Content-Type"] == "image/svg+xml"
    assert (dist / "index.html").read_text().count("<script") == 2  # what was built stays as it is


def test_a_folder_without_a_site_is_one_sentence(environment: dict[str, str], tmp_path: Path):
    command = [sys.executable, "-m", "tools.run"]
    wrong = {**environment, "FRONTEND_DIST": str(tmp_path / "nowhere")}
    ran = subprocess.run(command, cwd=PROJECT, env=wrong, capture_output=True, text=True)
    told = f"FRONTEND_DIST names no folder with an index.html: {tmp_path / 'nowhere'}\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", told)
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_one_sentence(environment: dict[str, str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-m", "tools.run"],
            cwd=PROJECT,
            env={**environment, "DEVSTACK_STRIPE_PORT": str(port)},
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 1 and ran.stdout == ""
    told = f"Port {port} is in use. Choose another for the stripe: DEVSTACK_STRIPE_PORT={port + 1} make run\n"
    assert ran.stderr == told
