"""Images per second of nets in prototxt in the Caffe-style runtime, against the same nets written for torch."""
