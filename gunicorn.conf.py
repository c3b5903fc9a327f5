# The process model. Read by gunicorn from the folder it is started in.
import os

host = os.environ.get("HOST", "0.0.0.0")  # nosec B104 # the router of a deployment comes over the network
bind = f"{host}:{os.environ.get('PORT', '3000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))  # Heroku sets it by the dyno's size
worker_class = "gthread"  # requests mostly wait for PostgREST, and bcrypt leaves the interpreter to others
threads = int(os.environ.get("WEB_THREADS", "16"))
timeout = 60  # above the sum of the time-outs of what one request may wait for
graceful_timeout = 20  # Heroku kills 30 seconds after SIGTERM
keepalive = 95  # above the router's 90, so that it never sends into a connection being closed
accesslog = None  # service/logs.py writes one JSON line a request
control_socket_disable = True
