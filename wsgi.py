"""The entry point of gunicorn and of the `flask` command. A file `.env` is read where there is one."""

from dotenv import load_dotenv

from service import create_app

load_dotenv()
app = create_app()
