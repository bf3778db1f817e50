"""The page of results: finished runs of any number of folders, grouped, averaged over seeds and held against bars."""
