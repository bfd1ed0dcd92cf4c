"""The store: the only floor that speaks SQL. Functions over a connection, the same for SQLite and PostgreSQL."""
