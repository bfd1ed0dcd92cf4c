"""Who may, and under which rules. Rules in, verdict or filter out; no I/O."""
