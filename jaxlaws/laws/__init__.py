"""Laws: one file a law, each data plus pure functions of its constants; they know no fitter, no table and no model."""
