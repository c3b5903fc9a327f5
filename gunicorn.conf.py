# The process model. Read by gunicorn from the folder it is started in.
import os

host = os.environ.get("HOST", "0.0.0.0")  # nosec B104 # the router of a deployment comes over the network
bind = f"{host}:{os.environ.get('PORT', '3000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))  # Heroku sets it by the dyno's size
worker_class = "service.server.worker.Worker"  # threads that no client can hold; docs/decisions.md says why
threads = int(os.environ.get("WEB_THREADS", "16"))
timeout = 60  # seconds without a sign of life, after which a process is replaced; clients have ten, see service/server
graceful_timeout = 20  # Heroku kills 30 seconds after SIGTERM
keepalive = 95  # above the router's 90, so that it never sends into a connection being closed
worker_connections = 2000  # of each process, all kinds
limit_request_line = 8190  # a filter of /rest/v1 may name a hundred ids
accesslog = None  # service/logs.py writes one JSON line a request
control_socket_disable = True
