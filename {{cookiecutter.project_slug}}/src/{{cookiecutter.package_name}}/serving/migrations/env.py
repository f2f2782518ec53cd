"""Called by Alembic, with the connection and the table that `database.upgrade` names."""

from alembic import context

told = context.config.attributes
context.configure(connection=told["connection"], version_table=told["version_table"])
with context.begin_transaction():
    context.run_migrations()
