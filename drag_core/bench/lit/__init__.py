"""Lit scenes: things in places under a light that stays where it is, with exact drags."""
