"""The use cases: one short function each.

A write is prepared here (access, rules) and applied by the store's writer, under the project's lock.
"""
