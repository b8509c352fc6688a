"""Steps from one form of the store to the next; Alembic runs them when a store is opened."""
