"""Sources of edits: one adapter per kind of data set, all behind one Protocol."""
