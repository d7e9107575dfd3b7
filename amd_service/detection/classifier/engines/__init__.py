"""One file an engine: same interface, same answers. Heavy libraries are imported inside `load`."""
