"""What the log means: pure rules that fold events into rows, and the digests of those rows."""
