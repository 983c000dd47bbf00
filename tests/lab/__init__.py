"""The lab: the real stack behind its page, struck by hand."""
