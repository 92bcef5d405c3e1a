"""How Alembic runs our migrations: on the connection, and in the transaction, that `store.migrate` gives."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations are run by `policy-service init`, not by Alembic's own command")

context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
