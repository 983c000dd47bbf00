"""The lab: strike the real stack by hand on one page, and watch which customer pays twice."""
