"""`python -m tuning_service.caffe train --solver=solver.prototxt`."""

import sys

from tuning_service.caffe.main import main

if __name__ == "__main__":
    sys.exit(main())
