"""Whole jobs: from data to a hardened run folder."""
