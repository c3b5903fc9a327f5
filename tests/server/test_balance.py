"""Kept connections are spread over the workers."""

import time
from contextlib import ExitStack

import psutil

from tests.server.sockets import open_socket
from tools.stack import Stack

HEALTH = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"


def connections_of(worker: psutil.Process, ports: set[int]) -> int:
    """How many it has with clients at these ports."""
    return sum(1 for one in worker.net_connections(kind="tcp") if one.raddr and one.raddr.port in ports)


def test_each_worker_has_its_share_of_kept_connections(served: Stack):
    workers = psutil.Process(served.processes["service"].pid).children()
    until = time.monotonic() + 10  # the second worker may just have started
    while min(counts := share_out(served, workers)) < 5 and time.monotonic() < until:
        pass
    assert sum(counts) == 16 and min(counts) >= 5, counts


def share_out(stack: Stack, workers: list[psutil.Process]) -> list[int]:
    """How many of sixteen each worker accepts."""
    with ExitStack() as held:
        clients = [held.enter_context(open_socket(stack, HEALTH)) for _ in range(16)]
        assert all(client.recv(15) == b"HTTP/1.1 200 OK" for client in clients)
        ports = {client.getsockname()[1] for client in clients}
        return [connections_of(worker, ports) for worker in workers]
