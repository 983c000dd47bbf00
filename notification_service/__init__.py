"""The receiver of at-most-once messages: shows every message that arrives, duplicates included."""
