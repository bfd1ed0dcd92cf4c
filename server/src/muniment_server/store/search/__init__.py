"""From the tree of a condition to SQL: conditions, orders, pages.

The same answer on both engines, now and as of the past; a property test holds it equal to a plain evaluation in Python.
"""
