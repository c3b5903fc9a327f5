"""The JKLG Travel backend: a Flask service directly over Supabase."""

from typing import cast

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from service import api, commands, database, errors, guards, headers, health, limits, logs, mail, site, staff_pages
from service.config import Config


def create_app(config: Config | None = None) -> Flask:
    """The application, wired; ``config`` defaults to the environment's.

    Raises ``config.ConfigurationError`` that lists everything missing or unsafe.
    """
    config = config or Config.from_env()
    app = Flask(__name__, static_folder=None)
    app.extensions["config"] = config
    app.url_map.strict_slashes = False  # as Express: /api/users/ is /api/users
    cast(DefaultJSONProvider, app.json).sort_keys = False  # answers read in the order they were written
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = config.max_body_bytes
    if config.proxy_hops:
        hops = config.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    logs.init_app(app)
    errors.init_app(app)
    headers.init_app(app)
    database.init_app(app)
    mail.init_app(app)
    CORS(
        app,
        origins=config.cors_origins,
        supports_credentials=True,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["Content-Type", "Authorization", "Accept", "Idempotency-Key"],
        expose_headers=["X-Request-Id", "Retry-After"],
        max_age=3600,
    )
    limits.init_app(app)
    documented = api.init_app(app)
    _register_blueprints(app, documented)
    documented.register_blueprint(health.blueprint)
    site.init_app(app)
    commands.init_app(app)
    guards.require_everywhere(app)
    return app


def _register_blueprints(app: Flask, documented: api.Api) -> None:
    """The packages, one per route file of the original backend."""
    from service import (
        auth,
        bookings,
        customers,
        destinations,
        gallery,
        packages,
        payments,
        settings,
        testimonials,
        users,
    )

    content = (destinations, packages, gallery, testimonials)
    for package in (customers, payments, auth, users, bookings, *content, settings):
        documented.register_blueprint(package.blueprint)
    app.register_blueprint(staff_pages.blueprint)
    # Half of the site's calls leave out /api.
    app.register_blueprint(customers.blueprint, name="customers_alias", url_prefix="/customers")
