"""Look at the storefront as a visitor would: is a pause really off the page, and a launch really on it?

After `lifecycle` published a document, rounds of visits to the product page, the OFREP route and the GrowthBook payload
either see what was promised ("confirmed at") or end in an alert. Asks over HTTP alone, like any visitor.
"""

from catalog_experiments.confirmation.rounds import RoundResult, confirm_due

__all__ = ["RoundResult", "confirm_due"]
