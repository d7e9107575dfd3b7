"""Queries and rules for stored calls. Functions take a session and never commit."""
