"""Images per second of nets in prototxt, trained by the Caffe-style runtime, against the same nets written for torch."""
