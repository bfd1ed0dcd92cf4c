"""The search language: text in, tree out. No I/O; the store compiles the tree, the tests evaluate it in Python."""
