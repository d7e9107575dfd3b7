"""Programs for maintainers: generated documentation pages and checks of the structure."""
