"""A mail server for development and tests: takes every mail by SMTP, sends none on, and shows them in the browser.

Start:  python -m devstack.mailbox --smtp-port 1025 --http-port 8025 --directory .devstack/mailbox
        (port 0: any free one; the line `mailbox ready: smtp://… http://…` on stdout names it;
        --certificate FILE.pem offers STARTTLS, with --implicit-tls the SMTP port speaks TLS from the first byte)
Ready:  GET /ready → 200 {"ready": true, "smtp_port": 1025, "messages": 3}
Pages:  GET / the inbox · GET /templates with --previews MODULE: every mail of a project with sample data. The
        module has TEMPLATES, a list of names, and render_sample(name), which gives an object with subject, text, html.
JSON:   GET /messages?to=ADDRESS&subject=PART newest first · GET /messages/ID (+ text, html, headers,
        attachments: name, type, size) · GET /messages/ID/source · GET /messages/ID/html ·
        GET /messages/ID/attachments/0 (the first) · DELETE /messages · DELETE /messages/ID
Faults: POST /faults {"at": STAGE, "do": "refuse" | "hang" | "drop", "code": 451, "seconds": 9, "times": 1,
        "to": "bob@"} (seconds: how long to hang, then go on; without times: until DELETE /faults; to: only while that
        recipient is in the envelope). STAGE is connect, ehlo,
        starttls, auth, mail, rcpt, data, body (mail received, not kept), kept (kept, not yet answered), rset or quit.
        PUT /rules {"user": …, "password": …, "smtputf8": false}: logins that count (null: any, none needed)
        GET /rules → what holds, and how many connections and logins there were
"""

from devstack.mailbox.client import Mailbox, mail_server

__all__ = ["Mailbox", "mail_server"]
