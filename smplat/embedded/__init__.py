"""PostgreSQL and a broker from wheels, for a machine that has neither; a Django database engine starts the first."""
