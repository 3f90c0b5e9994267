"""`python -m alexnet_edu.cli`, for `torchrun … -m alexnet_edu.cli train`."""

from alexnet_edu.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
