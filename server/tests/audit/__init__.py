"""Verification against an attacker who owns the database."""
