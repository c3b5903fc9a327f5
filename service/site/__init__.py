"""The site on this origin: its files and pages, and the tables that they read and write (`/rest/v1`)."""

from flask import Flask

from service.site import pages, proxy


def init_app(app: Flask) -> None:
    proxy.init_app(app)
    pages.init_app(app)
