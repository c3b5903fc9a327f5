"""Every PostgREST call about customers. Ids are UUIDs as text.

All functions raise ``ServiceError``: what the SQL function raised, or that the database is away.
"""

from service.bookings.shapes import OwnBooking
from service.config import config
from service.customers.shapes import (
    Address,
    BookingsPage,
    LoginAttempt,
    LoginOutcome,
    Preferences,
    PublicCustomer,
    Registered,
    Session,
    Verification,
)
from service.database import Row, customer_rpc, customer_table, one, rpc, run, table
from service.errors import NotFound
from service.fields import Changes
from service.limits import account_limits
from service.pagination import Page
from service.people import Customer, SignedInCustomer

PUBLIC_COLUMNS = "id,name,avatar,verified_at"
SESSION_COLUMNS = "id,ip_address,user_agent,created_at,last_seen_at,expires_at"
ADDRESS_COLUMNS = "id,label,name,phone,street,city,state,postal_code,country,is_default,created_at,updated_at"
PREFERENCE_COLUMNS = "language,currency,timezone,newsletter,sms,email_notifications"


def register_customer(email: str, password_hash: str, name: str, phone: str | None) -> Registered:
    """Make an account with its mail and first session. Raises 409 ``email_taken``."""
    return rpc(
        "register_customer",
        p_email=email,
        p_password_hash=password_hash,
        p_name=name,
        p_phone=phone,
        p_session_seconds=config.customer_session_ttl,
    )


def verify_email(customer_id: str, token_hash: str, session_id: str | None) -> Verification:
    """Spend a verification link; of the sessions only the caller's stays. Raises 400 ``token_…``."""
    return rpc("verify_email", p_customer_id=customer_id, p_token_hash=token_hash, p_session_id=session_id)


def disown_account(customer_id: str, token_hash: str) -> None:
    """Delete an unproven account, by the link of one of its mails. Raises 400 ``token_invalid``, 409."""
    rpc("disown_account", p_customer_id=customer_id, p_token_hash=token_hash)


def request_verification_mail(email: str) -> None:
    """Queue a verification mail where the address waits for one. Raises 429."""
    limits = account_limits("verification_mail")
    rpc("request_verification_mail", p_email=email, p_limits=limits)


def begin_login(email: str) -> LoginAttempt:
    """Count an attempt and find the account. Raises 429."""
    return rpc("begin_login", p_email=email, p_limits=account_limits("login_account"))


def finish_login(
    found: LoginAttempt, is_right: bool, new_hash: str | None, replaced: str | None = None
) -> LoginOutcome:
    """Note how the comparison with what ``begin_login`` found went; the new session takes the place of theirs given."""
    return rpc(
        "finish_login",
        p_customer_id=found["customer_id"],
        p_password_hash=found["password_hash"],
        p_is_right=is_right,
        p_new_hash=new_hash,
        p_session_seconds=config.customer_session_ttl,
        p_replaced=replaced,
    )


def list_sessions(customer_id: str) -> list[Session]:
    """The live sessions, the latest first."""
    query = table("customer_sessions").select(SESSION_COLUMNS).eq("customer_id", customer_id)
    return run(query.gt("expires_at", "now").order("created_at", desc=True))


def end_session(customer_id: str, session_id: str) -> None:
    """End one session. Raises ``NotFound``."""
    rpc("end_session", p_customer_id=customer_id, p_session_id=session_id)


def end_sessions(customer_id: str, keep: str | None) -> int:
    """End all sessions but the one to keep; how many ended."""
    return rpc("end_sessions", p_customer_id=customer_id, p_keep=keep)


def request_password_reset(email: str) -> None:
    """Queue a mail with a reset link where the address has an account. Raises 429."""
    rpc("request_password_reset", p_email=email, p_limits=account_limits("reset_mail"))


def reset_password(customer_id: str, token_hash: str, password_hash: str) -> None:
    """Spend a reset link: new hash, all sessions and links ended, notice queued. Raises 400 ``token_…``."""
    rpc(
        "reset_password",
        p_customer_id=customer_id,
        p_token_hash=token_hash,
        p_password_hash=password_hash,
    )


def change_password(customer: SignedInCustomer, new_hash: str) -> None:
    """Set a new hash, end the other sessions, queue the notice. Raises 401 when it was changed meanwhile."""
    rpc(
        "change_password",
        p_customer_id=customer["id"],
        p_session_id=customer["session_id"],
        p_old_hash=customer["password_hash"],
        p_new_hash=new_hash,
    )


def record_wrong_password(customer_id: str) -> None:
    """Leave an audit row: a signed-in person did not know the password."""
    rpc("note_wrong_password", p_customer_id=customer_id)


def get_public_customer(customer_id: str) -> PublicCustomer:
    """What anybody may know of a customer. Raises ``NotFound``."""
    query = table("customers").select(PUBLIC_COLUMNS).eq("id", customer_id).is_("deleted_at", "null")
    return one(query.limit(1), "Customer")


def update_profile(customer_id: str, changes: Changes) -> Customer:
    """Set those of name, phone, avatar, address that ``changes`` has; the customer."""
    return customer_rpc(customer_id, "update_profile", p_customer_id=customer_id, p_changes=changes)


def delete_customer(customer: SignedInCustomer) -> None:
    """Erase the person; payments and audit rows stay. Raises 401 when the password was changed meanwhile."""
    rpc(
        "delete_customer",
        p_customer_id=customer["id"],
        p_password_hash=customer["password_hash"],
    )


def list_bookings(customer_id: str, query: Page) -> BookingsPage:
    """One page of the bookings, the latest travel date first."""
    page = {"p_page": query["page"], "p_limit": query["limit"]}
    return customer_rpc(customer_id, "list_customer_bookings", p_customer_id=customer_id, **page)


def get_booking(customer_id: str, booking_id: str) -> OwnBooking:
    """One booking of the customer. Raises ``NotFound``."""
    query = customer_table(customer_id, "booking_summaries").select("*").eq("customer_id", customer_id)
    return one(query.eq("id", booking_id).limit(1), "Booking")


def claim_booking(customer_id: str, booking_id: str, travel_date: str) -> OwnBooking:
    """Take over a guest booking under the customer's address. Raises ``NotFound`` for a wrong guess, and 429."""
    found: OwnBooking | None = rpc(
        "claim_booking",
        p_customer_id=customer_id,
        p_booking_id=booking_id,
        p_travel_date=travel_date,
        p_limits=account_limits("booking_claim"),
    )
    if found is None:
        raise NotFound.of("Booking")
    return found


def list_addresses(customer_id: str) -> list[Address]:
    """The address book, the default first."""
    query = customer_table(customer_id, "customer_addresses").select(ADDRESS_COLUMNS).eq("customer_id", customer_id)
    return run(query.order("is_default", desc=True).order("created_at"))


def save_address(customer_id: str, address_id: str | None, fields: Changes) -> Address:
    """Add an address (no id) or change the given fields of one. Raises ``NotFound``, 409 ``address_limit``."""
    return customer_rpc(
        customer_id,
        "save_address",
        p_customer_id=customer_id,
        p_address_id=address_id,
        p_fields=fields,
    )


def delete_address(customer_id: str, address_id: str) -> None:
    """Delete an address. Raises ``NotFound``."""
    customer_rpc(customer_id, "delete_address", p_customer_id=customer_id, p_address_id=address_id)


def get_preferences(customer_id: str) -> Preferences:
    """All preferences. Raises ``NotFound`` for an account that has just gone."""
    query = customer_table(customer_id, "customer_preferences").select(PREFERENCE_COLUMNS)
    return one(query.eq("customer_id", customer_id).limit(1), "Customer")


def update_preferences(customer_id: str, changes: Changes) -> Preferences:
    """Set those preferences that ``changes`` has; all preferences."""
    return customer_rpc(customer_id, "update_preferences", p_customer_id=customer_id, p_changes=changes)


def export_customer(customer_id: str) -> Row:
    """Everything held about the customer."""
    return rpc("export_customer", p_customer_id=customer_id)


def find_customer(email: str) -> Row | None:
    """The customer with that address, for staff."""
    columns = "id,email,name,phone,status,verified_at,loyalty_points,total_bookings,total_spent,created_at"
    rows: list[Row] = run(table("customers").select(columns).eq("email", email.lower()).limit(1))
    return rows[0] if rows else None


def verify_by_hand(email: str) -> Customer:
    """Mark the address as proven, on the word of staff. Raises ``NotFound``."""
    return rpc("verify_customer_by_hand", p_email=email)


def set_customer_status(email: str, is_suspended: bool) -> Customer:
    """Suspend an account, which ends its sessions, or open it again. Raises ``NotFound``."""
    return rpc("set_customer_status", p_email=email, p_is_suspended=is_suspended)


def clean_expired() -> int:
    """Sweep sessions, links and limits that are past their time; how many rows."""
    return rpc("clean_expired")
