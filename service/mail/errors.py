"""Why a mail did not go, in the three kinds that the worker treats differently."""


class MailError(Exception):
    """A mail that did not go; the text is one sentence for an administrator."""


class RefusedForNow(MailError):
    """The same mail may go later: a 4xx answer, or a connection lost on the way."""


class RefusedForGood(MailError):
    """This mail will never go: a 5xx answer, or an address that is none."""


class ServerTrouble(MailError):
    """No mail can go at present: the server is out of reach, unsafe or refuses the login. No mail is at fault."""
