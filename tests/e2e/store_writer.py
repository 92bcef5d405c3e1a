"""A process that writes to a store once it is told to: `python -m tests.e2e.store_writer URL NAME COUNT`."""

from __future__ import annotations

import sys
from contextlib import closing

from policy_service.model.facts import User
from policy_service.store import Store
from tests.unit.store.drafts import NOW, draft, put


def write(store: Store, name: str, count: int) -> None:
    """Users of one name and rising numbers, each a change; every third attempt is given up under the lock."""
    for number in range(count):
        user = User(workspace="demo", id=f"{name}-{number}")
        if number % 3 == 2:
            store.commit(lambda reader: None, actor=f"local:{name}", now=NOW)
        store.commit(lambda reader, user=user: draft(put(user)), actor=f"local:{name}", now=NOW)


def main() -> None:
    url, name, count = sys.argv[1:]
    with closing(Store.open(url, lock_timeout_s=60)) as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        write(store, name, int(count))


if __name__ == "__main__":
    main()
