"""`python -m devstack.postgrest`: the server by itself, configured and addressed as the real one is."""

import logging
import os

import uvicorn

from devstack.postgrest import Application, Settings


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    uvicorn.run(
        Application(Settings.from_env()),
        host=os.environ.get("PGRST_SERVER_HOST", "127.0.0.1"),
        port=int(os.environ.get("PGRST_SERVER_PORT", "3000")),
        uds=os.environ.get("PGRST_SERVER_UNIX_SOCKET"),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
