"""Programs that measure; nothing here is part of the product. `python -m bench` runs the whole."""
