"""Kinds of things, by sort, and the table of all of them."""
