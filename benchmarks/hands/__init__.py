"""What logging costs a training loop, beside other recorders: ``python -m benchmarks.hands``."""
