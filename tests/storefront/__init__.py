"""Tests of `storefront`; the document is put into the process by hand."""
