"""What was measured: typed records that evaluation writes and reports read."""
