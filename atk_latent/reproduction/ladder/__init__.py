"""LADDER's tables and figures."""
