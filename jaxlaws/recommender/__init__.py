"""Laws of learning rate and batch size: fitted to sweeps, published, and turned into advice with ranges."""
