"""Runs notebooks as DVC stages and holds them to their contract; knows nothing of the science."""
