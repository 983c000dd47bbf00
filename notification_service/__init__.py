"""The receiver of at-most-once messages: shows whatever arrives, twins included."""
