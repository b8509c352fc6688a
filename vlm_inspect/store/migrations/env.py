"""How Alembic runs the steps: on the connection that it is given, inside its transaction."""

from alembic import context

from vlm_inspect.store.database import VERSION_TABLE
from vlm_inspect.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the caller's transaction spans all steps: one of them alone is never committed
)
context.run_migrations()
