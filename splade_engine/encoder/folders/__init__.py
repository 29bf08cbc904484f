"""Reading and writing of model folders, in every layout that is known."""
