"""A supervisor with workers that answer every connection with their number: a process for `test_supervisor.py`.

    python -m tests.unit.cli.serving.crew_process BEHAVIOUR [COUNT]

Prints its port, then `ready`. Of worker 1, BEHAVIOUR says what is wrong with it.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys

from policy_service.cli.serving import supervisor
from policy_service.cli.serving.supervisor import Post, Supervisor
from policy_service.service.clock import elapsed_s
from policy_service.service.following.crew import Crew, WorkerState


def say(text: str) -> None:
    """One line in one write: several processes share the pipe."""
    os.write(1, f"{text}\n".encode())


def work(post: Post, behaviour: str) -> int:
    """Answer, until told to stop."""
    number = post.member.number
    say(f"start {number} {os.getpid()} {'again' if post.is_again else 'first'}")
    if behaviour == "cannot-start" and number == 1:
        return 3
    if behaviour == "cannot-start-again" and number == 1 and post.is_again:
        return 4
    if behaviour == "dies-starting" and number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    stopped: list[int] = []
    if not (behaviour == "deaf" and number == 1):
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, lambda *_: say(f"hangup {number}"))
    tell(post)
    post.report_ready()
    while not stopped:
        readable, _, _ = select.select([post.lifeline, post.connections], [], [], 0.1)
        if not (behaviour == "silent" and number == 1):
            tell(post)
        if post.lifeline in readable:
            say(f"orphan {number}")
            return 0
        if post.connections in readable:
            answer(post)
    return 5 if behaviour == "ends-badly" and number == 1 else 0


def tell(post: Post) -> None:
    """As workers do all the time."""
    post.member.tell(WorkerState(pid=os.getpid(), revision=1, told_at=elapsed_s()))


def answer(post: Post) -> None:
    """Every connection that waits."""
    try:
        _, descriptors, _, _ = socket.recv_fds(post.connections, 1, 1)
    except BlockingIOError:
        return
    for descriptor in descriptors:
        with socket.socket(fileno=descriptor) as connection:
            connection.sendall(b"%d" % post.member.number)


def main() -> int:
    """Both kinds of process."""
    behaviour, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    supervisor.LINGER_S = 0.5  # type: ignore[misc]  # nobody waits for a deaf worker in a test
    logging.basicConfig(stream=sys.stdout, format="log %(message)s", level="INFO")
    listener = socket.create_server(("127.0.0.1", 0))
    say(f"port {listener.getsockname()[1]}")
    made = Supervisor(Crew(count), listener, grace_s=0.5, ready=lambda: say("ready"))
    outcome = made.run()
    if isinstance(outcome, Post):
        with outcome.connections:
            return work(outcome, behaviour)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
