"""Where edits come from: one small adapter a kind of data set, all behind one Protocol."""
