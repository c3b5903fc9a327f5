"""`python -m tests.mail.sender`: the worker of the mail alone.

`flask worker` also does what is due besides, and what that sends depends on what other tests left behind.
"""

import signal

from service import create_app
from service.mail.worker import Worker


def main() -> None:
    app = create_app()
    with app.app_context():
        worker = Worker(app.extensions["config"])
        signal.signal(signal.SIGTERM, worker.stop)
        worker.run()


if __name__ == "__main__":
    main()
