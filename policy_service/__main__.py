"""`python -m policy_service` is the command `policy-service`."""

import sys

from policy_service.bootstrap import main

if __name__ == "__main__":
    sys.exit(main())
