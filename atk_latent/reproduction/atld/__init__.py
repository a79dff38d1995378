"""ATLD's tables and figures."""
