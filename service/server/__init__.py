"""The door: a worker of gunicorn's that gives a thread to whole requests only, and takes no answer back from one."""
