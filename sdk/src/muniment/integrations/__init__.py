"""Callbacks that record a training: one module a library, which it imports; Muniment depends on none of them."""
