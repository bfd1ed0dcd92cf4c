"""Running again what a run recorded, and saying how far the same came out."""
