"""This folder contains one file per engine. All engines have the same interface. `load` imports the heavy libraries."""
