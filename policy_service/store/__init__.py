"""The facts in a database: tables, migrations, and the feed of changes."""

from policy_service.store.migrate import migrate
from policy_service.store.store import Store
from policy_service.store.wakers import waker_for

__all__ = ["Store", "migrate", "waker_for"]
