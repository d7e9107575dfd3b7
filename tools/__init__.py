"""Scripts for maintainers: they generate documentation pages and check the structure of the package."""
