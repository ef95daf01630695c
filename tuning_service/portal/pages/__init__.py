"""One module for each place that people go to. A page only reads: what changes something is a call of REST."""
