"""One file per engine, with the same interface. Heavy libraries are imported inside `load`."""
