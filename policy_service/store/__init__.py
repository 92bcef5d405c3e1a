"""The facts in a database: tables, migrations, and the feed of changes."""
