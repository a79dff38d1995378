"""What happens to an image between its arrival and its classification."""
