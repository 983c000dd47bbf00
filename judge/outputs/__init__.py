"""What a run leaves behind: a table on the terminal, result.json, JUnit, SARIF, one HTML file and a badge."""
