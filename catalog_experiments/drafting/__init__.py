"""Write experiments down: what is wanted (`specification`), refused (`validation`) and stored (`drafts`)."""

from catalog_experiments.drafting.drafts import (
    DuplicateSlug,
    clone,
    columns_of,
    create_draft,
    store,
    update,
)
from catalog_experiments.drafting.validation import InvalidExperiment

__all__ = [
    "DuplicateSlug",
    "InvalidExperiment",
    "clone",
    "columns_of",
    "create_draft",
    "store",
    "update",
]
