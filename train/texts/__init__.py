"""Texts and questions about sounds present and absent: by an LLM, by templates, by an ontology."""
