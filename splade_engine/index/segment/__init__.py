"""One segment: its arrays and their rules, how rows are stored, building it and searching it."""
