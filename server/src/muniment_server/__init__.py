"""The Muniment server.

Floors from top to bottom: commands, api, annexes, services, store, policy, then the pure rooms language and segments.
An import only ever goes down; ARCHITECTURE.md is the map.
"""
