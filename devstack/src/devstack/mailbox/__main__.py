"""`python -m devstack.mailbox`: the SMTP server and its web page in one process."""

import argparse
import asyncio
import socket
import ssl
import sys
import warnings
from pathlib import Path

import uvicorn

from devstack.mailbox.letters import Letters
from devstack.mailbox.smtp import MailboxSession, Rules
from devstack.mailbox.web import make_app


def main() -> None:
    warnings.filterwarnings("ignore", message="Session.login_data")  # aiosmtpd's own use of it
    options = _options()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    smtp = _listen(options.host, options.smtp_port, "--smtp-port")
    http = _listen(options.host, options.http_port, "--http-port")
    asyncio.run(_serve(options, context, smtp, http))


async def _serve(
    options: argparse.Namespace, context: ssl.SSLContext | None, smtp: socket.socket, http: socket.socket
) -> None:
    letters, rules = Letters(Path(options.directory)), Rules()
    loop = asyncio.get_running_loop()
    starttls = None if options.implicit_tls else context
    server = await loop.create_server(
        lambda: MailboxSession(letters, rules, tls_context=starttls, loop=loop),
        sock=smtp,
        ssl=context if options.implicit_tls else None,
    )
    smtp_port, http_port = smtp.getsockname()[1], http.getsockname()[1]
    app = make_app(letters, rules, smtp_port, options.previews)
    print(f"mailbox ready: smtp://{options.host}:{smtp_port} http://{options.host}:{http_port}", flush=True)
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    await web.serve(sockets=[http])
    server.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.mailbox", description="Keep and show every mail.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    parser.add_argument("--directory", default=".devstack/mailbox", help="where the mails are kept")
    parser.add_argument("--certificate", help="a .pem with certificate and key: STARTTLS is offered")
    parser.add_argument("--implicit-tls", action="store_true", help="TLS from the first byte, as on port 465")
    parser.add_argument("--previews", metavar="MODULE", help="a module with TEMPLATES and render_sample(name)")
    return parser.parse_args()


def _listen(host: str, port: int, option: str) -> socket.socket:
    try:
        listening = socket.create_server((host, port), backlog=200)
    except OSError as error:
        sys.exit(f"The mailbox cannot listen on {host}:{port} ({error.strerror}); choose another port with {option}.")
    # asyncio does this only for sockets that it makes itself; without it each answer takes 40 ms longer.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


if __name__ == "__main__":
    main()
