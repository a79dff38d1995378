"""Images in [0, 1] with integer labels, from every source under one contract."""
