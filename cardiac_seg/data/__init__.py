"""Files to cases: readers, dataset layouts, and which patient is used for what."""
