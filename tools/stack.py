"""The local Supabase, Stripe and mailbox with this project in it: its schema, its service and its worker."""

import os
import secrets
import sys
from pathlib import Path

import psycopg

import devstack.stack
from devstack.stack import HOST, Part, Ports, StackError
from tools.project import MIGRATIONS, PROJECT, SEED

__all__ = ["HOST", "PORTS", "Stack", "StackError", "chosen_ports", "free_ports"]

WEBHOOKS = {
    "stripe": "process-webhook",
    "razorpay": "process-webhook/razorpay",
    "paypal": "process-webhook/paypal",
}
PORTS: Ports = {"service": ("PORT", 3000), **devstack.stack.PORTS}


class Stack(devstack.stack.Stack):
    """The stack of this project; ``start`` starts what the service needs, ``serve`` the service itself.

    ``currency`` is the agency's, PAYMENT_CURRENCY of the service.
    """

    def __init__(
        self, directory: Path, ports: dict[str, int], *, currency: str = "usd", default_privileges: bool = True
    ) -> None:
        super().__init__(
            directory,
            ports,
            root=PROJECT,
            migrations=MIGRATIONS,
            seed=SEED,
            gateways={name: f"http://{HOST}:{ports['service']}/api/payments/{path}" for name, path in WEBHOOKS.items()},
            previews="service.mail.render",
            currencies="select code, exponent, g.minimum, g.step from app.currencies"
            " join app.gateway_currencies g on (g.gateway, g.currency) = ('stripe', code) order by code",
            default_privileges=default_privileges,
        )
        self.currency = currency.lower()

    def migrate(self) -> None:
        """As a release does: the migrations, then the agency's currency, in which the seed's bookings are."""
        super().migrate()
        with psycopg.connect(self.postgres.uri(), autocommit=True) as connection:
            try:
                connection.execute("select public.set_agency_currency(%s)", [self.currency])
            except psycopg.Error as error:
                told = f"PAYMENT_CURRENCY={self.currency}: {error.diag.message_primary}"
                raise StackError(told + " `make reset` forgets them." * (error.sqlstate == "PT409")) from error

    def serve(self) -> None:
        """Start the service under gunicorn and the worker, and wait until the service answers."""
        self.start_part("service")
        self.start_part("worker")
        self.wait_until_ready("service")

    def service_environment(self) -> dict[str, str]:
        """The variables that point the service at these parts; see .env.example."""
        return {
            "APP_ENV": "development",
            "HOST": HOST,
            "PORT": str(self.ports["service"]),
            **self.environment(),
            "JWT_SECRET": self.secrets["jwt_secret"],
            "FRONTEND_URL": os.environ.get("FRONTEND_URL", self.url("service")),
            "SMTP_FROM_EMAIL": "noreply@jklg.example",
            "BOOKING_MAIL_HOLD": os.environ.get("BOOKING_MAIL_HOLD", "5"),
            "PAYMENT_CURRENCY": self.currency,
        }

    def parts(self) -> dict[str, Part]:
        python, environment = [sys.executable, "-m"], self.service_environment()
        return {
            **super().parts(),
            "service": Part([*python, "gunicorn", "wsgi:app"], environment, "/api/health"),
            "worker": Part([*python, "flask", "worker"], environment),
        }

    def make_secrets(self) -> dict[str, str]:
        return {**super().make_secrets(), "jwt_secret": secrets.token_hex(32)}


def chosen_ports() -> dict[str, int]:
    """The ports of `make run`, all free. Raises ``StackError`` that names the one in use and its variable."""
    try:
        return devstack.stack.chosen_ports(PORTS)
    except devstack.stack.PortTaken as taken:
        raise StackError(f"{taken} make run") from None


def free_ports() -> dict[str, int]:
    """A free port for each part, for tests beside a running stack."""
    return devstack.stack.free_ports(PORTS)
