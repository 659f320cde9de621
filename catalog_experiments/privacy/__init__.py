"""The rights of the person behind a unit: to see everything that is stored of it, and to be forgotten.

Stands beside `retention`, above everything that stores a unit. Aggregates hold sums of many and are left alone.
"""

from catalog_experiments.privacy.disclosure import disclose
from catalog_experiments.privacy.erasure import Erasure, erase_unit, preview
from catalog_experiments.privacy.identity import Person, find_person

__all__ = ["Erasure", "Person", "disclose", "erase_unit", "find_person", "preview"]
