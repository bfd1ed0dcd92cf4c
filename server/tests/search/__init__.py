"""The search language: a property test against a plain evaluator, errors, query plans."""
