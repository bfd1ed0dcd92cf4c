"""What is logged, on disk until the store has it.

A process that logs writes into a memory map of a file: no system call, no network, and what was written survives the
process at any moment, because the pages belong to the kernel. A sender reads the same file and brings it to the store
as one stream of an import, whose mark the store keeps; so whoever sends, and however often, each entry is carried out
once. `layout` says what lies where, `writer` writes, `reader` reads, `sender` sends, `process` is the sender's process.
"""
