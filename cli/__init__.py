"""The `atkl` command."""
