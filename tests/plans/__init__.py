"""How the database answers at a million exposures: every heavy statement is explained as the product runs it."""
