"""`python -m service` is `hitl-receiver`."""

from service.cli.main import main

if __name__ == "__main__":
    main()
