"""Kinds of places and the table of all of them."""
