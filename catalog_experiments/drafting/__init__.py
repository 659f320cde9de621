"""Write experiments down: what is wanted (`specification`), refused (`validation`) and stored (`drafts`)."""

from catalog_experiments.drafting.drafts import (
    DuplicateSlug,
    clone,
    clone_of,
    columns_of,
    create_draft,
    draft_errors,
    edit_errors,
    store,
    update,
)
from catalog_experiments.drafting.validation import InvalidExperiment

__all__ = [
    "DuplicateSlug",
    "InvalidExperiment",
    "clone",
    "clone_of",
    "columns_of",
    "create_draft",
    "draft_errors",
    "edit_errors",
    "store",
    "update",
]
