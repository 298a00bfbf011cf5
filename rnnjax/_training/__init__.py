"""Which connections make it do this task? `fit`."""
